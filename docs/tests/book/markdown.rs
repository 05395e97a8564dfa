//! The Markdown files of the workspace, and their contents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("docs is in the workspace")
}

/// A Markdown file.
pub(crate) struct Page {
    /// Relative to the folder of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// Targets as written, and their lines.
    pub(crate) links: Vec<(String, usize)>,
    /// What can follow a `#` in a link to this page.
    pub(crate) anchors: BTreeSet<String>,
}

/// A fenced block of code.
pub(crate) struct Block {
    pub(crate) line: usize,
    /// The text after the opening fence: a language, and words that rustdoc knows.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.split(',').next().unwrap_or_default().trim()
    }
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).expect("a text");
        let line_of = |offset: usize| text[..offset].matches('\n').count() + 1;
        let mut page =
            Self { path: path.to_owned(), blocks: Vec::new(), links: Vec::new(), anchors: BTreeSet::new() };
        let (mut block, mut heading): (Option<Block>, Option<String>) = (None, None);
        let mut headings = BTreeMap::new();
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
        for (event, range) in Parser::new_ext(&text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    block = Some(Block {
                        line: line_of(range.start),
                        info: info.to_string(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = headings.entry(anchor.clone()).or_insert(0);
                    page.anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                    *before += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((dest_url.to_string(), line_of(range.start)));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// Returns the anchor of a heading, as forges and mdBook generate it.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// Returns every Markdown file of the workspace, without generated and hidden files.
pub(crate) fn pages() -> Vec<Page> {
    files("md").iter().map(|path| Page::read(path)).collect()
}

/// Returns every file with this extension, relative to the folder of the workspace.
pub(crate) fn files(extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') || name == "target";
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() && !hidden => folders.push(path),
                kind if kind.is_file() && path.extension().is_some_and(|found| found == extension) => {
                    files.push(path.strip_prefix(root()).expect("inside").to_owned());
                }
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Returns the path without `.` and `..`, or `None` if it leaves the workspace.
pub(crate) fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            other => normal.push(other),
        }
    }
    Some(normal)
}
