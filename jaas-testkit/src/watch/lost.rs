//! The gaps that lost events should make.

use jaas_core::event::{Event, EventKind};
use jaas_core::meetings::{Change, Edge};
use jaas_core::watch::{Gap, Rule};
use jaas_core::{Delivery, SessionId, Timestamp};

/// An event that was lost, and the gap that should be found because of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LostEvent {
    /// Its type.
    pub kind: EventKind,
    /// Its session.
    pub session: SessionId,
    /// The rule that should notice.
    pub rule: Rule,
    /// The subjects that the gap can have, depending on what else came.
    pub subjects: Vec<String>,
}

impl LostEvent {
    /// Whether this is the gap of it.
    pub fn is_noticed_by(&self, gap: &Gap) -> bool {
        gap.rule == self.rule && gap.session_id == self.session && self.subjects.contains(&gap.subject)
    }
}

/// The gaps that the loss of these events should make in the meeting with `all` these deliveries. Of uploads,
/// departures and ends of rooms; of a transcription only if something was said.
pub fn gaps_of(all: &[Delivery], lost: &[Delivery]) -> Vec<LostEvent> {
    lost.iter().filter_map(|delivery| gap_of(all, delivery)).collect()
}

fn gap_of(all: &[Delivery], lost: &Delivery) -> Option<LostEvent> {
    let key = |delivery: &Delivery| delivery.envelope.idempotency_key.to_string();
    let of_kind = |kind| all.iter().filter(move |delivery| delivery.envelope.kind == kind);
    let (rule, subjects) = match (lost.event(), Edge::of(lost).map(|edge| (edge.at, edge.change))) {
        (Event::RecordingUploaded(uploaded), _) => {
            let ended = of_kind(EventKind::RecordingEnded)
                .find(|ended| Some(ended.occurred_at()) == uploaded.end_timestamp)?;
            let before = |started: &&Delivery| started.occurred_at() < ended.occurred_at();
            let started =
                of_kind(EventKind::RecordingStarted).filter(before).max_by_key(|one| one.occurred_at());
            (Rule::RecordingNotUploaded, started.into_iter().chain([ended]).map(key).collect())
        }
        (Event::TranscriptionUploaded(_), _) => {
            of_kind(EventKind::TranscriptionChunkReceived).next()?;
            (Rule::TranscriptionNotUploaded, vec!["transcription".to_owned()])
        }
        (_, Some((_, Change::Closed { room }))) => (Rule::RoomNotClosed, vec![room.to_string()]),
        (_, Some((left_at, Change::Left { place, who, .. }))) if !place.is_lobby() => {
            let joined = |delivery: &Delivery| -> Option<Timestamp> {
                let edge = Edge::of(delivery)?;
                let Change::Joined { place: into, who: joined } = edge.change else { return None };
                let same = into == place && joined.presence == who.presence && edge.at < left_at;
                same.then_some(edge.at)
            };
            let joined = all.iter().filter_map(|delivery| Some((joined(delivery)?, key(delivery))));
            (Rule::StayNotLeft, vec![joined.max()?.1])
        }
        _ => return None,
    };
    let session = lost.envelope.session_id.clone()?;
    Some(LostEvent { kind: lost.envelope.kind, session, rule, subjects })
}
