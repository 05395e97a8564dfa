//! What events link to.

use super::artifact::ArtifactKind;
use crate::delivery::Delivery;
use crate::event::{Event, UnknownReason};
use crate::lenient::{Decode as _, Undecoded, payload};
use crate::private::{Link, Personal};
use crate::timestamp::Timestamp;

/// The longest extension that is kept.
const MAX_EXTENSION: usize = 8;

/// A link in an event, and what is known of the file behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactLink {
    /// The field it is in, by its name on the wire; it distinguishes several links of one event.
    pub slot: &'static str,
    /// What it leads to.
    pub kind: ArtifactKind,
    /// The link.
    pub link: Link,
    /// When it dies: the event's `linkExpiration`, else 24 h after the event, 48 h for statistics.
    pub deadline: Timestamp,
    /// The file's extension, `a-z` and `0-9` only: the link's, else that of the file's name, else the usual one.
    pub extension: String,
    /// The file's name, as a participant has it; documents have one.
    pub file_name: Option<Personal>,
}

payload! {
    /// What is read of every event that links to a file.
    #[allow(unreachable_pub, reason = "the macro makes payloads public, and this one is only used here")]
    pub struct Uploaded {
        /// The link of events that this version does not know.
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// When the link dies, in ms.
        link_expiration: Option<Timestamp> = "linkExpiration",
        /// The name of a document.
        file_name: Option<Personal> = "fileName",
    }
}

/// What an event links to, in the order of its fields: every field of a payload that is a [`Link`], and the
/// `preAuthenticatedLink` of events that this version does not know and that are named `…_UPLOADED`.
///
/// ```
/// use jaas_core::archive::{ArtifactKind, links};
/// use jaas_core::{Delivery, Timestamp};
///
/// let body = r#"{"idempotencyKey":"k-1","eventType":"CHAT_UPLOADED","timestamp":1760000000000,
///     "data":{"preAuthenticatedLink":"https://8x8.vc/p/token/chat.json"}}"#;
/// let delivery = Delivery::parse("main", Timestamp::from_secs(1_760_000_009), body.into())?;
/// let links = links(&delivery);
/// assert_eq!(links[0].kind, ArtifactKind::Chat);
/// assert_eq!(links[0].deadline, Timestamp::from_secs(1_760_086_400));
/// # Ok::<(), jaas_core::Unreadable>(())
/// ```
pub fn links(delivery: &Delivery) -> Vec<ArtifactLink> {
    let event = delivery.event();
    let mut found = Vec::new();
    event.links(&mut |slot, link| found.push((slot, Link::new(link))));
    let is_new = matches!(event, Event::Unknown(UnknownReason::Type))
        && delivery.envelope.event_type.ends_with("_UPLOADED");
    if found.is_empty() && !is_new {
        return Vec::new();
    }
    let about = Uploaded::parse_data(delivery.data(), &mut Undecoded::default()).unwrap_or_default();
    if is_new {
        found.extend(about.pre_authenticated_link.map(|link| ("preAuthenticatedLink", link)));
    }
    let links = found.into_iter().map(|(slot, link)| {
        let kind = ArtifactKind::of(delivery.envelope.kind, slot);
        let deadline =
            about.link_expiration.unwrap_or_else(|| delivery.occurred_at().saturating_add(kind.life()));
        let name = about.file_name.as_ref().map(Personal::expose);
        let extension = extension(path_of(&link)).or_else(|| extension(name.unwrap_or_default()));
        ArtifactLink {
            slot,
            kind,
            deadline,
            extension: extension.unwrap_or_else(|| kind.extension().to_owned()),
            file_name: about.file_name.clone(),
            link,
        }
    });
    links.collect()
}

/// The path of a link.
fn path_of(link: &Link) -> &str {
    let text = link.expose();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let path = text.find('/').map_or("", |slash| &text[slash..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// The extension of a file's name, if it is one.
fn extension(name: &str) -> Option<String> {
    let (before, extension) = name.rsplit(['/', '\\']).next()?.rsplit_once('.')?;
    let is_one = !before.is_empty()
        && (1..=MAX_EXTENSION).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_one.then(|| extension.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event_type: &str, data: &str) -> Vec<ArtifactLink> {
        let body = format!(
            r#"{{"idempotencyKey":"k","eventType":"{event_type}","timestamp":1760000000000,"data":{data}}}"#
        );
        links(&Delivery::parse("main", Timestamp::from_secs(1), body.into()).expect("an envelope"))
    }

    fn hours_later(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_760_000_000_000 + hours * 60 * 60 * 1000)
    }

    #[test]
    fn every_event_with_a_link_has_a_kind_and_a_deadline() {
        for (event_type, kind) in [
            ("RECORDING_UPLOADED", ArtifactKind::Recording),
            ("VIDEO_SEGMENT_UPLOADED", ArtifactKind::VideoSegment),
            ("TRANSCRIPTION_UPLOADED", ArtifactKind::Transcription),
            ("CHAT_UPLOADED", ArtifactKind::Chat),
            ("SCREEN_SHARING_HISTORY", ArtifactKind::ScreenSharing),
            ("DOCUMENT_ADDED", ArtifactKind::Document),
            ("CERTIFIED_REC_UPLOADED", ArtifactKind::Other),
        ] {
            let found = read(event_type, r#"{"preAuthenticatedLink":"https://8x8.vc/p"}"#);
            assert_eq!(found.len(), 1, "{event_type}");
            assert_eq!((found[0].kind, found[0].deadline), (kind, hours_later(24)), "{event_type}");
            let stated = r#"{"preAuthenticatedLink":"https://8x8.vc/p","linkExpiration":1760000000001}"#;
            assert_eq!(read(event_type, stated)[0].deadline.as_millis(), 1_760_000_000_001, "{event_type}");
        }
        let statistics = read("RTCSTATS_UPLOADED", r#"{"statsUrl":"https://8x8.vc/p"}"#);
        assert_eq!((statistics[0].kind, statistics[0].deadline), (ArtifactKind::Rtcstats, hours_later(48)));
    }

    #[test]
    fn both_links_of_a_screen_sharing_history_are_artifacts() {
        let found = read(
            "SCREEN_SHARING_HISTORY",
            r#"{"preAuthenticatedLink":"https://8x8.vc/1","preAuthenticatedLinkV2":"https://8x8.vc/2"}"#,
        );
        let slots: Vec<_> = found.iter().map(|found| (found.slot, found.kind)).collect();
        assert_eq!(
            slots,
            [
                ("preAuthenticatedLink", ArtifactKind::ScreenSharing),
                ("preAuthenticatedLinkV2", ArtifactKind::ScreenSharingPages)
            ]
        );
    }

    #[test]
    fn other_events_and_missing_links_lead_to_no_artifact() {
        assert!(read("ROOM_CREATED", r#"{"preAuthenticatedLink":"https://8x8.vc/1"}"#).is_empty());
        assert!(read("WHITEBOARD_OPENED", r#"{"preAuthenticatedLink":"https://8x8.vc/1"}"#).is_empty());
        assert!(read("RECORDING_UPLOADED", r#"{"preAuthenticatedLink":""}"#).is_empty());
        assert!(read("RECORDING_UPLOADED", "7").is_empty());
        assert!(read("NEW_UPLOADED", "{}").is_empty());
    }

    #[test]
    fn the_extension_is_the_links_or_that_of_the_file_or_the_usual_one() {
        for (link, file_name, extension) in [
            ("https://8x8.vc/p/token/video.MP4?x=a.b#c.d", "", "mp4"),
            ("https://8x8.vc/p/token", "Plan.pdf", "pdf"),
            ("https://8x8.vc", "plan.tar.gz", "gz"),
            ("https://8x8.vc/a.b/c", "", "bin"),
            ("https://8x8.vc/.bashrc", "../../etc/x.p\u{e9}", "bin"),
            ("https://8x8.vc/x.longextension", "", "bin"),
            ("https://8x8.vc/x.%2e", "", "bin"),
        ] {
            let data = format!(r#"{{"preAuthenticatedLink":"{link}","fileName":"{file_name}"}}"#);
            assert_eq!(read("DOCUMENT_ADDED", &data)[0].extension, extension, "{link} {file_name}");
        }
    }

    #[test]
    fn debug_shows_no_link() {
        let found = read("CHAT_UPLOADED", r#"{"preAuthenticatedLink":"https://8x8.vc/secret-token"}"#);
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }
}
