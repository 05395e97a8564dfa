//! The names under which files are kept.

use std::fmt;
use std::fmt::Write as _;

use super::artifact::{Artifact, ArtifactKind};
use crate::file_name::file_name;

/// The longest name, in bytes: what S3 takes, less some room for a prefix.
const MAX_BYTES: usize = 900;

/// The longest part of a name between two slashes, in bytes: what file systems take, less some room for the end that a
/// file has while it is written.
const MAX_PART: usize = 200;

/// The name of an object in a sink: parts with slashes between them. It is safe as a path below a folder and as a key
/// of an object store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// A name that is safe on every sink: of parts with `A-Z`, `a-z`, `0-9`, `-`, `_`, `.`, `=` and `@`, which do not
    /// begin with a dot or `-` and do not end with a dot, with one slash between two of them. A part has 200 bytes at
    /// most, the name 900.
    ///
    /// # Errors
    /// When the text is not such a name.
    ///
    /// ```
    /// use jaas_core::archive::ObjectName;
    ///
    /// assert_eq!(ObjectName::new("2026/math/recording.mp4")?.as_str(), "2026/math/recording.mp4");
    /// assert!(ObjectName::new("../recording.mp4").is_err());
    /// # Ok::<(), jaas_core::archive::UnsafeName>(())
    /// ```
    pub fn new(name: impl Into<String>) -> Result<Self, UnsafeName> {
        let name = name.into();
        let is_safe = name.len() <= MAX_BYTES && name.split('/').all(is_part);
        if is_safe { Ok(Self(name)) } else { Err(UnsafeName) }
    }

    /// The name when the application does not say otherwise: `{app}/{room}/{session}/{kind}-{key}.{ext}`, each made
    /// safe as [`file_name`](crate::file_name()) does; what is absent is `_`. The same artifact always has the same
    /// name.
    pub fn of(artifact: &Artifact) -> Self {
        let part =
            |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or("_".to_owned(), file_name);
        let mut name = format!(
            "{}/{}/{}/{}-{}",
            part(artifact.app_id.as_ref().map(|id| id.as_str())),
            part(Some(&artifact.fqn.room_key())),
            part(artifact.session_id.as_ref().map(|id| id.as_str())),
            artifact.kind,
            file_name(artifact.idempotency_key.as_str()),
        );
        if artifact.kind == ArtifactKind::Other && artifact.slot != "preAuthenticatedLink" {
            // An event may have several links that have no kind of their own. Writing to a `String` does not fail.
            let _ = write!(name, "-{}", file_name(&artifact.slot));
        }
        let _ = write!(name, ".{}", artifact.extension);
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_part(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=@".contains(&byte);
    (1..=MAX_PART).contains(&part.len())
        && part.bytes().all(is_plain)
        && !part.starts_with(['.', '-'])
        && !part.ends_with('.')
}

/// A text that is not a safe name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a safe name of an object: it may have parts of 200 bytes of A-Z, a-z, 0-9, -, _, ., = and @, with one \
     slash between two of them, and 900 bytes in all; make the parts with jaas_core::file_name"
)]
pub struct UnsafeName;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{AppId, Fqn, IdempotencyKey, SessionId};
    use crate::store::RowId;
    use crate::timestamp::Timestamp;

    fn artifact(app: &str, room: &str, session: &str, key: &str) -> Artifact {
        Artifact {
            id: RowId::new(1),
            event: RowId::new(1),
            endpoint: Arc::from("main"),
            idempotency_key: IdempotencyKey::new(key),
            event_type: "RECORDING_UPLOADED".to_owned(),
            slot: "preAuthenticatedLink".to_owned(),
            kind: ArtifactKind::Recording,
            app_id: Some(AppId::new(app)),
            fqn: Fqn::new(format!("{app}/{room}")),
            session_id: Some(SessionId::new(session)),
            occurred_at: Timestamp::from_secs(1),
            deadline: Timestamp::from_secs(2),
            failures: 0,
            extension: "mp4".to_owned(),
            file_name: None,
        }
    }

    #[test]
    fn a_name_has_app_room_session_kind_and_key() {
        let name = ObjectName::of(&artifact("vpaas-magic-cookie-1", "math", "s-1", "k-1"));
        assert_eq!(name.as_str(), "vpaas-magic-cookie-1/math/s-1/recording-k-1.mp4");
        let mut absent = artifact("", "", "", "k-1");
        (absent.app_id, absent.session_id) = (None, None);
        assert_eq!(ObjectName::of(&absent).as_str(), "_/_/_/recording-k-1.mp4");
    }

    #[test]
    fn unsafe_names_are_refused() {
        let long = "a".repeat(201);
        let deep = "a/".repeat(450) + "a";
        for name in [
            "", "/", "a//b", "/a", "a/", "..", "a/../b", "a/.b", "a.", "-a", "a b", "a\0", "é", "a\\b",
            "a#1", &long, &deep,
        ] {
            assert_eq!(ObjectName::new(name), Err(UnsafeName), "{name:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_event_has_a_safe_name(app in "(?s).{0,300}", room in "(?s).{0,300}", session in "(?s).{0,300}", key in "(?s).{0,300}") {
            let name = ObjectName::of(&artifact(&app, &room, &session, &key));
            proptest::prop_assert_eq!(ObjectName::new(name.as_str()), Ok(name));
        }
    }
}
