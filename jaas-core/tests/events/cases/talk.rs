//! Oddities of usage, polls, reactions, feedback and speech.

use std::time::Duration;

use jaas_core::event::{CallDirection, Reaction, Usage, UsageEntry};
use jaas_core::{Jid, Room};

use crate::parsing::*;

const ADAS_DEVICE: &str = "8c8d357b5e872bbacd45197626bd5759";
const BENS_DEVICE: &str = "7fe4771c008a22eb763df47d19e2c6aa";

pub(crate) const CHECKS: &[Check] = checks! {
    "usage-dial" => Usage(_, e) {
        let phone = only(e);
        assert_eq!(text(&phone.device_id), Some("15550100456 (+15550100456)"));
        assert_eq!((&phone.call_direction, text(&phone.participant_id)), (&Some(CallDirection::Out), Some("58cd113f")));
        assert_eq!((text(&phone.email), text(&phone.user_id)), (None, None));
        assert!(text(&phone.kid).is_some_and(|kid| kid.ends_with("/dialIO")));
    }
    "usage-null-email" => Usage(_, e) {
        let device = only(e);
        assert_eq!((text(&device.email), text(&device.user_id)), (None, None));
        assert_eq!((text(&device.device_id), device.has_mau_p), (Some(BENS_DEVICE), Some(false)));
    }
    "usage-two-items" => Usage(_, e) {
        let devices: Vec<_> = e.0.iter().map(|d| (text(&d.device_id), text(&d.user_id))).collect();
        assert_eq!(devices, [(Some(ADAS_DEVICE), Some(ADA.id)), (Some(BENS_DEVICE), Some(BEN.id))]);
    }
    "usage-same-device-again" => Usage(_, e) {
        let device = only(e);
        assert_eq!((text(&device.device_id), text(&device.participant_id)), (Some(BENS_DEVICE), Some("c8e31f75")));
    }
    "usage-visitor" => Usage(_, e) {
        let device = only(e);
        assert_eq!((device.visitor, device.has_mau_p), (Some(true), Some(true)));
        assert_eq!((text(&device.participant_id), text(&device.user_id)), (None, Some(CEM.id)));
        assert_eq!(device.room, Room::Main);
    }
    "usage-breakout" => Usage(_, e) {
        assert_eq!(only(e).room, breakout(BREAKOUT));
    }
    "usage-odd-items" => Usage(_, e) {
        // An element that is not an object is omitted; an empty object is an entry without information.
        let [empty, sound] = &e.0[..] else { panic!("two entries, not {}", e.0.len()) };
        assert_eq!(empty, &UsageEntry::default());
        assert_eq!((text(&sound.device_id), text(&sound.email)), (Some(BENS_DEVICE), Some(BEN.email)));
    }
    "poll-empty-user" => PollCreated(_, e) {
        let user = e.user.as_ref().expect("a user");
        assert_eq!((text(&user.email), text(&user.id), text(&user.current_name)), (None, None, None));
        assert_eq!((text(&user.name), text(&user.participant_id)), (Some(BEN.name), Some(BEN.participant_id)));
        let options: Vec<_> = e.answers.iter().map(|answer| (answer.key, text(&answer.name))).collect();
        assert_eq!(options, [(Some(0), Some("Yes")), (Some(1), None)]);
    }
    "poll-user-missing" => PollAnswer(_, e) {
        assert_eq!(e.user, None);
        let choices: Vec<_> = e.answers.iter().map(|answer| (answer.key, answer.value)).collect();
        assert_eq!(choices, [(Some(0), None), (Some(1), Some(true))]);
    }
    "reactions-user-id-as-participant-id" => Reactions(_, e) {
        assert_eq!((text(&e.user_id), text(&e.participant_jid)), (Some(BEN.id), Some(BEN.full_jid)));
        assert_eq!(e.reactions, [Reaction::Like, Reaction::Other("fireworks".to_owned())]);
    }
    "rating-minus-one" => Feedback(_, e) {
        assert_eq!((e.rating, e.stars(), text(&e.comments)), (Some(-1), None, Some("No stars today.")));
    }
    "rating-absent" => Feedback(_, e) {
        assert_eq!((e.rating, e.stars(), text(&e.comments)), (None, None, Some("Just words.")));
        assert_eq!(e.user_id, None);
    }
    "rating-out-of-range" => Feedback(_, e) {
        assert_eq!((e.rating, e.stars(), text(&e.comments)), (Some(0), None, None));
    }
    "speaker-stats-time-only" => SpeakerStats(_, e) {
        assert_eq!(e.0.len(), 2);
        let ada = &e.0[&Jid::new(ADA.full_jid)];
        assert_eq!((ada.time(), text(&ada.email)), (Some(Duration::from_millis(1_210_089)), Some(ADA.email)));
        let ben = &e.0[&Jid::new(BEN.full_jid)];
        assert_eq!((ben.time(), text(&ben.id), text(&ben.name)), (Some(Duration::ZERO), None, None));
    }
    "speaker-stats-large-time" => SpeakerStats(_, e) {
        assert_eq!(e.0.len(), 2);
        assert_eq!(e.0[&Jid::new(ADA.full_jid)].time(), Some(Duration::from_secs(5_000_000)));
        let cem = &e.0[&Jid::new(CEM.full_jid)];
        assert_eq!((cem.time(), text(&cem.name)), (None, Some(CEM.name)));
    }
    "async-transcription-chunk" => TranscriptionChunkReceived(_, e) {
        let speaker = e.participant.as_ref().expect("a speaker");
        assert_eq!((text(&speaker.id), text(&speaker.user_id)), (Some(BEN.participant_id), Some(BEN.id)));
        assert_eq!((text(&speaker.name), text(&speaker.email), text(&speaker.avatar_url)), (None, None, None));
    }
    "transcription-chunk-short-language" => TranscriptionChunkReceived(_, e) {
        assert_eq!(text(&e.language), Some("en"));
        assert_eq!(text(&e.text), Some(" Let us begin with the second exercise."));
    }
    "transcription-chunk-participant-null" => TranscriptionChunkReceived(_, e) {
        assert_eq!((&e.participant, text(&e.language)), (&None, Some("en-US")));
        assert!(e.text.is_some());
    }
    "rtcstats-without-participant-id" => RtcstatsUploaded(_, e) {
        assert_eq!((text(&e.user_id), text(&e.participant_name)), (None, None));
        assert_eq!((text(&e.endpoint_id), e.stats_url.is_some()), (Some(BEN.participant_id), true));
    }
};

fn only(usage: &Usage) -> &UsageEntry {
    let [entry] = &usage.0[..] else { panic!("one entry, not {}", usage.0.len()) };
    entry
}
