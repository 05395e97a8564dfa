//! Files behind links, and their kinds.

use std::sync::Arc;
use std::time::Duration;

use crate::event::EventKind;
use crate::id::{AppId, Fqn, IdempotencyKey, SessionId};
use crate::named::named_enum;
use crate::private::Personal;
use crate::store::RowId;
use crate::timestamp::Timestamp;

/// How long a link lives that does not say so itself (documented).
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a link to statistics lives (documented).
const LIFE_OF_STATISTICS: Duration = Duration::from_secs(48 * 60 * 60);

named_enum! {
    /// What an artifact is.
    #[non_exhaustive]
    pub enum ArtifactKind {
        /// The recording of `RECORDING_UPLOADED`.
        Recording = "recording",
        /// The sample of `VIDEO_SEGMENT_UPLOADED`.
        VideoSegment = "video_segment",
        /// The transcription of `TRANSCRIPTION_UPLOADED`; no format is documented.
        Transcription = "transcription",
        /// The chat of `CHAT_UPLOADED`, which `jaas_core::files::chat` parses.
        Chat = "chat",
        /// The list of screenshots of `SCREEN_SHARING_HISTORY`; no format is documented.
        ScreenSharing = "screen_sharing",
        /// The list of screenshots in pages, the second link of `SCREEN_SHARING_HISTORY`.
        ScreenSharingPages = "screen_sharing_pages",
        /// The file that was shared in `DOCUMENT_ADDED`.
        Document = "document",
        /// The statistics of `RTCSTATS_UPLOADED`, which `jaas_core::rtcstats` reads.
        Rtcstats = "rtcstats",
        /// What another event links to: one that this version does not know, or knows and has no name for.
        Other = "other",
    }
}

impl ArtifactKind {
    /// The extension of a file whose link does not have one.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Recording | Self::VideoSegment => "mp4",
            Self::Chat => "json",
            Self::Rtcstats => "gz",
            _ => "bin",
        }
    }

    /// What a link in this field of this event leads to.
    pub(super) fn of(event: EventKind, slot: &str) -> Self {
        match (event, slot) {
            (EventKind::RecordingUploaded, _) => Self::Recording,
            (EventKind::VideoSegmentUploaded, _) => Self::VideoSegment,
            (EventKind::TranscriptionUploaded, _) => Self::Transcription,
            (EventKind::ChatUploaded, _) => Self::Chat,
            (EventKind::ScreenSharingHistory, "preAuthenticatedLinkV2") => Self::ScreenSharingPages,
            (EventKind::ScreenSharingHistory, _) => Self::ScreenSharing,
            (EventKind::DocumentAdded, _) => Self::Document,
            (EventKind::RtcstatsUploaded, _) => Self::Rtcstats,
            _ => Self::Other,
        }
    }

    /// How long a link to this kind lives if it does not say so itself.
    pub(super) const fn life(self) -> Duration {
        match self {
            Self::Rtcstats => LIFE_OF_STATISTICS,
            _ => LIFE,
        }
    }
}

/// A file behind a link, which is fetched or was.
///
/// It does not have the link: that is in the event's body alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifact {
    /// Its row in the store.
    pub id: RowId,
    /// The row of its event.
    pub event: RowId,
    /// The endpoint its event came to.
    pub endpoint: Arc<str>,
    /// The key of its event.
    pub idempotency_key: IdempotencyKey,
    /// The `eventType` of its event, as it came.
    pub event_type: String,
    /// The field of the event that has the link, by its name on the wire.
    pub slot: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// The tenant.
    pub app_id: Option<AppId>,
    /// The meeting's name; empty when absent.
    pub fqn: Fqn,
    /// The sitting of the room.
    pub session_id: Option<SessionId>,
    /// When its event happened.
    pub occurred_at: Timestamp,
    /// When its link dies.
    pub deadline: Timestamp,
    /// How often fetching it has failed.
    pub failures: u32,
    /// The file's extension, `a-z` and `0-9` only.
    pub extension: String,
    /// The file's name, as a participant has it; documents have one.
    pub file_name: Option<Personal>,
}

impl Artifact {
    /// An artifact of which nothing more is known, for tests to fill in the rest.
    pub fn new(
        id: RowId,
        event: RowId,
        kind: ArtifactKind,
        key: IdempotencyKey,
        deadline: Timestamp,
    ) -> Self {
        Self {
            id,
            event,
            endpoint: "main".into(),
            idempotency_key: key,
            event_type: String::new(),
            slot: "preAuthenticatedLink".to_owned(),
            kind,
            app_id: None,
            fqn: Fqn::new(""),
            session_id: None,
            occurred_at: deadline,
            deadline,
            failures: 0,
            extension: kind.extension().to_owned(),
            file_name: None,
        }
    }
}
