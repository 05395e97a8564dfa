//! For applications that keep files behind links: a [sink](FakeSink) in memory, a [file server](FileServer) that fails
//! on request, artifacts [made to order](artifact()), and a [conformance suite](conformance) for stores.

pub mod conformance;
mod server;
mod sink;

use jaas_core::archive::{Artifact, ArtifactKind, links};
use jaas_core::store::RowId;
use jaas_core::{Delivery, Timestamp};

pub use self::server::{FileServer, Reply, SeenRequest};
pub use self::sink::{FakeSink, FakeSinkFault};

/// The first artifact of an event, as an archiver gives it to an
/// [`ArtifactHandler`](jaas_core::archive::ArtifactHandler); `None` when the event links to no file.
///
/// ```
/// use jaas_core::archive::ArtifactKind;
/// use jaas_testkit::archive::artifact;
/// use jaas_testkit::event;
///
/// let delivery = event::recording_uploaded().delivery();
/// assert_eq!(artifact(&delivery).map(|artifact| artifact.kind), Some(ArtifactKind::Recording));
/// ```
pub fn artifact(delivery: &Delivery) -> Option<Artifact> {
    let link = links(delivery).into_iter().next()?;
    let envelope = &delivery.envelope;
    let mut artifact = Artifact::new(
        RowId::new(1),
        RowId::new(1),
        link.kind,
        envelope.idempotency_key.clone(),
        link.deadline,
    );
    artifact.endpoint = delivery.endpoint.clone();
    artifact.event_type = envelope.event_type.to_string();
    artifact.slot = link.slot.to_owned();
    artifact.app_id = envelope.app_id.clone();
    artifact.fqn = envelope.fqn.clone();
    artifact.session_id = envelope.session_id.clone();
    artifact.occurred_at = delivery.occurred_at();
    artifact.extension = link.extension;
    artifact.file_name = link.file_name;
    Some(artifact)
}

/// The `eventType` of an event that links to such a file, and the field of its `data` that has the link; `None` of
/// kinds that are not one event's.
pub fn event_of(kind: ArtifactKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        ArtifactKind::Recording => ("RECORDING_UPLOADED", "preAuthenticatedLink"),
        ArtifactKind::VideoSegment => ("VIDEO_SEGMENT_UPLOADED", "preAuthenticatedLink"),
        ArtifactKind::Transcription => ("TRANSCRIPTION_UPLOADED", "preAuthenticatedLink"),
        ArtifactKind::Chat => ("CHAT_UPLOADED", "preAuthenticatedLink"),
        ArtifactKind::ScreenSharing => ("SCREEN_SHARING_HISTORY", "preAuthenticatedLink"),
        ArtifactKind::ScreenSharingPages => ("SCREEN_SHARING_HISTORY", "preAuthenticatedLinkV2"),
        ArtifactKind::Document => ("DOCUMENT_ADDED", "preAuthenticatedLink"),
        ArtifactKind::Rtcstats => ("RTCSTATS_UPLOADED", "statsUrl"),
        _ => return None,
    })
}

/// An event that links to a file: with this key, of this session, at this time; its link dies at the deadline.
///
/// # Panics
/// When no event links to such a kind.
pub fn uploaded(
    kind: ArtifactKind,
    key: &str,
    session: &str,
    link: &str,
    at: Timestamp,
    deadline: Timestamp,
) -> Delivery {
    #[allow(clippy::expect_used, reason = "documented under Panics")]
    let (event_type, slot) = event_of(kind).expect("a kind that an event links to");
    let body = serde_json::json!({
        "idempotencyKey": key,
        "eventType": event_type,
        "sessionId": session,
        "timestamp": at.as_millis(),
        "fqn": "vpaas-magic-cookie-1/math",
        "data": {slot: link, "linkExpiration": deadline.as_millis()},
    });
    #[allow(clippy::expect_used, reason = "the body above has the fields of an envelope")]
    Delivery::parse("main", at, body.to_string().into()).expect("a readable envelope")
}
