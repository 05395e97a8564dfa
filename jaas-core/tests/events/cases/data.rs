//! Oddities of `data` as a whole.

use std::time::Duration;

use jaas_core::event::{
    AggregatedReactions, EventKind, ParticipantJoined, ParticipantLeft, RecordingUploaded, RoomDestroyed,
    SpeakerStats, UnknownReason, Usage,
};
use serde_json::Value;

use crate::parsing::*;

pub(crate) const CHECKS: &[Check] = checks! {
    "data-missing" => RoomDestroyed(d, e) {
        assert_eq!((d.data(), e), ("null", &RoomDestroyed::default()));
        assert_eq!(d.data_as::<Option<Value>>().expect("JSON"), None);
    }
    "data-null" => RoomDestroyed(d, e) {
        assert_eq!((d.data(), e), ("null", &RoomDestroyed::default()));
    }
    "data-empty-object" => ParticipantJoined(_, e) {
        assert_eq!(e, &ParticipantJoined::default());
    }
    "data-is-string" => Unknown(d, reason) {
        is_undecodable(reason, "`data` is a string, where an object was expected");
        assert_eq!(d.envelope.kind, EventKind::ParticipantJoined);
        assert_eq!(d.data_as::<String>().expect("text"), "Ben Example");
    }
    "data-is-list" => Unknown(d, reason) {
        is_undecodable(reason, "`data` is a list, where an object was expected");
        assert_eq!(d.envelope.kind, EventKind::ParticipantJoined);
        assert_eq!(d.data_as::<Vec<String>>().expect("a list"), ["Ben Example"]);
    }
    "data-is-object-with-keys" => Unknown(d, reason) {
        is_undecodable(reason, "`data` is an object, where a list was expected");
        assert_eq!(d.envelope.kind, EventKind::Usage);
        assert_eq!(d.data_as::<Value>().expect("JSON")["userId"], ADA.id);
    }
    "duplicate-keys-in-data" => ParticipantJoined(_, e) {
        assert_eq!((text(&e.participant.name), text(&e.participant.id)), (Some(BEN.name), Some(BEN.id)));
    }
    "all-data-null" => ParticipantLeft(_, e) {
        assert_eq!(e, &ParticipantLeft::default());
    }
    "all-data-null-recording" => RecordingUploaded(_, e) {
        assert_eq!((e, e.duration()), (&RecordingUploaded::default(), None));
    }
    "empty-strings" => ParticipantLeft(_, e) {
        assert_eq!(e, &ParticipantLeft::default());
    }
    "wrong-typed-optional-fields" => ParticipantLeft(_, e) {
        let p = &e.participant;
        assert_eq!((p.moderator, p.flip, p.hidden_from_recorder), (None, None, None));
        assert_eq!((text(&p.name), text(&p.email), text(&p.id), text(&p.avatar)), (None, None, None, None));
        assert_eq!((text(&p.participant_jid), text(&p.conference)), (None, None));
        // Numbers decode as text.
        assert_eq!((text(&p.group), text(&p.participant_id)), (Some("7"), Some("32104")));
        assert_eq!(text(&p.participant_full_jid), Some("3.5"));
        assert_eq!((&e.disconnect_reason, &e.room), (&None, &breakout("12")));
    }
    "wrong-typed-recording-fields" => RecordingUploaded(_, e) {
        let people: Vec<_> = e.participants.iter().map(|p| (text(&p.name), text(&p.id))).collect();
        assert_eq!(people, [(Some(BEN.name), None)]);
        assert_eq!((e.share, e.link_expiration), (Some(true), None));
        assert_eq!((e.duration_sec, e.duration()), (Some(2458), Some(Duration::from_secs(2458))));
        assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_795_421_041_000), None));
        assert!(e.pre_authenticated_link.is_some());
        assert_eq!(text(&e.initiator_id), Some(ADA.id));
    }
    "empty-list-as-object" => Usage(_, e) {
        assert_eq!(e, &Usage::default());
    }
    "empty-object-as-list" => SpeakerStats(_, e) {
        assert_eq!(e, &SpeakerStats::default());
    }
    "empty-list" => Usage(_, e) {
        assert_eq!(e, &Usage::default());
    }
    "aggregated-reactions-empty-list-as-object" => AggregatedReactions(_, e) {
        assert_eq!(e, &AggregatedReactions::default());
    }
    "recording-participants-as-object" => RecordingUploaded(_, e) {
        assert!(e.participants.is_empty() && e.pre_authenticated_link.is_some());
        assert_eq!(e.duration_sec, Some(2458));
    }
    "poll-answers-as-object" => PollCreated(_, e) {
        assert!(e.answers.is_empty());
        assert_eq!((text(&e.question), text(&e.poll_id)), (Some("How often?"), Some("p4mathpoll")));
    }
    "reactions-as-object" => Reactions(_, e) {
        assert!(e.reactions.is_empty());
        assert_eq!(text(&e.user_id), Some(BEN.id));
    }
    "media-types-as-object" => RoomDestroyed(_, e) {
        assert!(e.media_types.is_empty());
        assert_eq!(text(&e.conference), Some(CONFERENCE));
    }
};

fn is_undecodable(reason: &UnknownReason, message: &str) {
    assert!(matches!(reason, UnknownReason::Data(_)), "{reason:?}");
    assert_eq!(reason.to_string(), message);
}
