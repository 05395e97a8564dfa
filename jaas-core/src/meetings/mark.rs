//! Moments of a meeting.

use crate::delivery::Delivery;
use crate::event::EventKind;
use crate::id::SessionId;
use crate::timestamp::Timestamp;

/// A moment of a meeting other than coming and going: a recording began, a live stream ended, a file is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// The sitting.
    pub session: SessionId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

impl Mark {
    /// The kinds of events that are marks.
    pub const KINDS: [EventKind; 15] = [
        EventKind::RecordingStarted,
        EventKind::RecordingEnded,
        EventKind::RecordingUploaded,
        EventKind::VideoSegmentUploaded,
        EventKind::LiveStreamStarted,
        EventKind::LiveStreamEnded,
        EventKind::TranscriptionStarted,
        EventKind::TranscriptionEnded,
        EventKind::TranscriptionUploaded,
        EventKind::ChatUploaded,
        EventKind::ScreenSharingHistory,
        EventKind::DocumentAdded,
        EventKind::DocumentDeleted,
        EventKind::RoleChanged,
        EventKind::PollCreated,
    ];

    /// The mark of a delivery; `None` for other [kinds](Self::KINDS), and for events without a session or a time.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        let envelope = &delivery.envelope;
        let kind = Some(envelope.kind).filter(|kind| Self::KINDS.contains(kind))?;
        Some(Self::new(envelope.session_id.clone()?, envelope.timestamp?, kind))
    }

    /// A mark from its parts.
    pub fn new(session: SessionId, at: Timestamp, kind: EventKind) -> Self {
        Self { session, at, kind }
    }
}
