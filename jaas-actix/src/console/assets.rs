//! The style sheet and the script. Their names have a hash of their content, so browsers may keep them.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file that never changes under its name.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its name in links.
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) content: &'static str,
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../assets/console/console.css");
    Asset::new("console", "css", "text/css; charset=utf-8", content)
});

/// The script, without which everything works too.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../assets/console/console.js");
    Asset::new("console", "js", "text/javascript; charset=utf-8", content)
});

impl Asset {
    fn new(stem: &str, ending: &str, media_type: &'static str, content: &'static str) -> Self {
        let hash: String = Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{stem}-{hash}.{ending}"), media_type, content }
    }
}
