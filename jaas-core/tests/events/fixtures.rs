//! The testkit's fixture of each event: every documented field is there as a typed value.

use std::time::Duration;

use jaas_core::event::*;
use jaas_core::{Fqn, Jid, Room};
use jaas_testkit::fixture;
use serde_json::Value;

use crate::reading::*;

const RECORDING: &str = "https://objectstorage.us-phoenix-1.oraclecloud.com/p/FAKE-TOKEN-recordings/n/example/b/vpaas-recordings-example-us-phoenix-1/o/vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/math_2026-11-23-08-04-01.mp4";
const SEGMENT: &str = "https://objectstorage.us-phoenix-1.oraclecloud.com/p/FAKE-TOKEN-segments/n/example/b/vpaas-segments-example-us-phoenix-1/o/vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/segment-0001.mp4";
const TRANSCRIPTION: &str = "https://objectstorage.us-phoenix-1.oraclecloud.com/p/FAKE-TOKEN-transcriptions/n/example/b/vpaas-transcriptions-example-us-phoenix-1/o/vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/math_2026-11-23-08-46-30.json";
const CHAT: &str = "https://objectstorage.us-phoenix-1.oraclecloud.com/p/FAKE-TOKEN-chats/n/example/b/vpaas-chats-example-us-phoenix-1/o/vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/math_2026-11-23-08-46-31.json";
const STATS: &str = "https://jitsi-micros-rtcstats-server.s3.us-west-2.amazonaws.com/c333a796-ad85-401e-a72f-240ce0027236.gz?AWSAccessKeyId=FAKE-ACCESS-KEY&Expires=1795596375&Signature=FAKE-SIGNATURE%3D&x-amz-security-token=FAKE-TOKEN";
const KID: &str = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/5b3c5a";
const DIAL_KID: &str = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/dialIO";

/// A test for each event below, which calls the function of that name. What an event without one has in its fixture is
/// compared in `encoding.rs`.
macro_rules! every_field_of {
    ($($Event:ident $method:ident;)*) => {
        mod every_documented_field_is_typed_in {
            use super::*;

            $(
                #[test]
                fn $method() {
                    let delivery = read(fixture::of(EventKind::$Event).body);
                    let seen = dispatch(&delivery);
                    assert_eq!(seen.method, EventKind::$Event);
                    let Event::$Event(event) = &seen.event else { panic!("{:?}", seen.event) };
                    super::$method(event);
                }
            )*
        }
    };
}
every_field_of! {
    RoomCreated room_created;
    RoomDestroyed room_destroyed;
    ParticipantJoined participant_joined;
    ParticipantLeft participant_left;
    ParticipantJoinedLobby participant_joined_lobby;
    ParticipantLeftLobby participant_left_lobby;
    ParticipantSubjectUpdate participant_subject_update;
    RoleChanged role_changed;
    RecordingStarted recording_started;
    RecordingEnded recording_ended;
    RecordingUploaded recording_uploaded;
    VideoSegmentUploaded video_segment_uploaded;
    ScreenSharingHistory screen_sharing_history;
    LiveStreamStarted live_stream_started;
    LiveStreamEnded live_stream_ended;
    SipCallInStarted sip_call_in_started;
    SipCallInEnded sip_call_in_ended;
    SipCallOutStarted sip_call_out_started;
    SipCallOutEnded sip_call_out_ended;
    DialInStarted dial_in_started;
    DialInEnded dial_in_ended;
    DialOutStarted dial_out_started;
    DialOutEnded dial_out_ended;
    Feedback feedback;
    Usage usage;
    SpeakerStats speaker_stats;
    RtcstatsUploaded rtcstats_uploaded;
    PollCreated poll_created;
    PollAnswer poll_answer;
    Reactions reactions;
    AggregatedReactions aggregated_reactions;
    TranscriptionStarted transcription_started;
    TranscriptionEnded transcription_ended;
    TranscriptionUploaded transcription_uploaded;
    TranscriptionChunkReceived transcription_chunk_received;
    ChatUploaded chat_uploaded;
    DocumentAdded document_added;
    DocumentDeleted document_deleted;
}

#[test]
fn every_fixture_has_the_envelope_of_its_event() {
    let mut keys = Vec::new();
    for fixture in fixture::EVENTS {
        let wire: Value = serde_json::from_str(fixture.body).expect("JSON");
        let delivery = read(fixture.body);
        let envelope = &delivery.envelope;
        assert_eq!((envelope.kind.as_str(), &*envelope.event_type), (fixture.name, fixture.name));
        assert_eq!(Some(envelope.idempotency_key.as_str()), wire["idempotencyKey"].as_str());
        assert_eq!(text(&envelope.app_id), Some(APP), "{}", fixture.name);
        assert_eq!(envelope.app_id.as_ref().and_then(|app| app.customer_id()), Some(CUSTOMER));
        assert_eq!(text(&envelope.customer_id), Some(CUSTOMER), "{}", fixture.name);
        assert_eq!(text(&envelope.session_id), Some(SESSION), "{}", fixture.name);
        assert_eq!((&envelope.fqn, envelope.fqn.room()), (&Fqn::new(FQN), "math"));
        assert_eq!(envelope.timestamp.map(|at| at.as_millis()), wire["timestamp"].as_i64());
        assert_eq!(Some(delivery.occurred_at()), envelope.timestamp);
        assert_eq!(delivery.data_as::<Value>().expect("JSON"), wire["data"], "{}", fixture.name);
        assert_eq!(delivery.body(), fixture.body);
        keys.push(envelope.idempotency_key.clone());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), EventKind::ALL.len());
}

fn room_created(e: &RoomCreated) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
    assert_eq!(e.room, breakout(BREAKOUT));
}

fn room_destroyed(e: &RoomDestroyed) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
    assert_eq!(e.media_types, ["AUDIO", "VIDEO", "DESKTOP"]);
    assert_eq!(e.room, breakout(BREAKOUT));
}

fn participant_joined(e: &ParticipantJoined) {
    ada(&e.participant);
    assert_eq!(e.room, breakout(BREAKOUT));
}

fn participant_left(e: &ParticipantLeft) {
    ada(&e.participant);
    assert_eq!(e.room, breakout(BREAKOUT));
    assert_eq!(e.disconnect_reason, LEFT);
    assert!(!e.is_room_switch());
}

fn ada(participant: &Participant) {
    ADA.assert_is(participant);
    assert_eq!(participant.moderator, Some(true));
    assert_eq!(text(&participant.group), Some("mathematics"));
    assert_eq!(text(&participant.conference), Some(CONFERENCE));
    assert_eq!((participant.flip, participant.is_visitor), (Some(false), None));
}

fn participant_joined_lobby(e: &ParticipantJoinedLobby) {
    cem(&e.participant);
    assert_eq!(e.room, Room::Main);
}

fn participant_left_lobby(e: &ParticipantLeftLobby) {
    cem(&e.participant);
    assert_eq!(e.room, Room::Main);
    assert_eq!(e.disconnect_reason, LEFT);
}

fn cem(participant: &Participant) {
    CEM.assert_is(participant);
    assert_eq!(participant.moderator, Some(false));
    assert_eq!(text(&participant.group), Some("mathematics"));
}

fn participant_subject_update(e: &ParticipantSubjectUpdate) {
    assert_eq!(text(&e.participant_jid), Some(ADA.jid));
    assert_eq!((text(&e.name), text(&e.email), text(&e.id)), (Some(ADA.name), Some(ADA.email), Some(ADA.id)));
    assert_eq!((text(&e.subject), text(&e.group)), (Some("Exercise 2"), Some("mathematics")));
    assert_eq!(e.room, breakout(BREAKOUT));
}

fn role_changed(e: &RoleChanged) {
    assert_eq!(text(&e.role), Some("moderator"));
    for (party, who) in [(&e.granted_by, ADA), (&e.granted_to, BEN)] {
        let party = party.as_ref().expect("a party");
        assert_eq!(text(&party.participant_jid), Some(who.full_jid));
        assert_eq!(text(&party.participant_id), Some(who.participant_id));
        assert_eq!(text(&party.id), Some(who.id));
        assert!(party.participant_jid.as_ref().is_some_and(Jid::is_full));
    }
}

fn recording_started(e: &RecordingStarted) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
}

fn recording_ended(e: &RecordingEnded) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
}

fn recording_uploaded(e: &RecordingUploaded) {
    assert_eq!(e.participants.len(), 2);
    for (participant, who) in e.participants.iter().zip([ADA, BEN]) {
        assert_eq!(text(&participant.name), Some(who.name));
        assert_eq!(text(&participant.avatar), Some(who.avatar));
        assert_eq!(text(&participant.id), Some(who.id));
    }
    let link = e.pre_authenticated_link.as_ref().expect("a link");
    assert_eq!((link.expose(), link.host()), (RECORDING, Some("objectstorage.us-phoenix-1.oraclecloud.com")));
    assert_eq!(e.link_expiration, at(1_795_510_050_465));
    assert_eq!((e.share, text(&e.initiator_id)), (Some(true), Some(ADA.id)));
    assert_eq!((e.duration_sec, e.duration()), (Some(2458), Some(Duration::from_secs(2458))));
    assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_795_421_041_000), at(1_795_423_499_000)));
    assert_eq!(text(&e.recording_session_id), Some("rec-7f4c1a52-0001"));
}

fn video_segment_uploaded(e: &VideoSegmentUploaded) {
    assert_eq!(text(&e.pre_authenticated_link), Some(SEGMENT));
    assert_eq!(e.link_expiration, at(1_795_510_110_047));
    assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_795_421_312_279), at(1_795_421_402_279)));
    assert_eq!(text(&e.recording_session_id), Some("rec-7f4c1a52-0001"));
}

fn screen_sharing_history(e: &ScreenSharingHistory) {
    let link = |v| {
        format!(
            "https://api-vo.jitsi.net/vo-content-sharing-history/v{v}/file-metadata/jaas/9e2784d4-e5a0-4ca7-bdc3-9437e61c9533?X-JaaS-Key=FAKE-TOKEN-screenshots"
        )
    };
    assert_eq!(text(&e.pre_authenticated_link), Some(&*link(1)));
    assert_eq!(text(&e.pre_authenticated_link_v2), Some(&*link(2)));
    assert_eq!(e.link_expiration, at(1_795_510_120_610));
}

fn live_stream_started(e: &LiveStreamStarted) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
}

fn live_stream_ended(e: &LiveStreamEnded) {
    assert_eq!(text(&e.conference), Some(CONFERENCE));
}

fn sip_call_in_started(e: &SipCallInStarted) {
    assert_eq!((text(&e.sip_address), text(&e.nick)), (Some("sip:room-4@sip.example.com"), Some("Room 4")));
    assert_eq!(text(&e.participant_jid), Some("9bb4789b-fc88-4054-983a-22d1959a9d76@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("9bb4789b-fc88-4054-983a-22d1959a9d76@8x8.vc/z3V1cDeF"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("10a78ee2"), &Room::Main));
}

fn sip_call_in_ended(e: &SipCallInEnded) {
    assert_eq!(text(&e.participant_jid), Some("9bb4789b-fc88-4054-983a-22d1959a9d76@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("9bb4789b-fc88-4054-983a-22d1959a9d76@8x8.vc/z3V1cDeF"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("10a78ee2"), &Room::Main));
    assert_eq!(e.disconnect_reason, LEFT);
}

fn sip_call_out_started(e: &SipCallOutStarted) {
    assert_eq!((text(&e.sip_address), text(&e.nick)), (Some("sip:library@sip.example.com"), Some("library")));
    assert_eq!(text(&e.participant_jid), Some("32a04eb7-dd8e-4fd9-8a34-fa4c16ee7613@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("32a04eb7-dd8e-4fd9-8a34-fa4c16ee7613@8x8.vc/a4W2dEfG"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("21b89ff3"), &Room::Main));
}

fn sip_call_out_ended(e: &SipCallOutEnded) {
    assert_eq!(text(&e.participant_jid), Some("32a04eb7-dd8e-4fd9-8a34-fa4c16ee7613@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("32a04eb7-dd8e-4fd9-8a34-fa4c16ee7613@8x8.vc/a4W2dEfG"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("21b89ff3"), &Room::Main));
    assert_eq!(e.disconnect_reason, Some(DisconnectReason::Kicked));
}

fn dial_in_started(e: &DialInStarted) {
    assert_eq!(e.direction, Some(CallDirection::In));
    assert_eq!(text(&e.nick), Some("15550100123 (+15550100123)"));
    assert_eq!(text(&e.participant_jid), Some("a07864b9-0b80-4505-a137-d1fd8e62d123@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("a07864b9-0b80-4505-a137-d1fd8e62d123@8x8.vc/x1T9aBcD"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("47bc002e"), &Room::Main));
}

fn dial_in_ended(e: &DialInEnded) {
    assert_eq!(text(&e.participant_jid), Some("a07864b9-0b80-4505-a137-d1fd8e62d123@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("a07864b9-0b80-4505-a137-d1fd8e62d123@8x8.vc/x1T9aBcD"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("47bc002e"), &Room::Main));
}

fn dial_out_started(e: &DialOutStarted) {
    assert_eq!(e.direction, Some(CallDirection::Out));
    assert_eq!(text(&e.nick), Some("15550100456 (+15550100456)"));
    assert_eq!(text(&e.participant_jid), Some("51d81406-ddbf-44ab-afbc-a29c9107295b@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("51d81406-ddbf-44ab-afbc-a29c9107295b@8x8.vc/y2U0bCdE"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("58cd113f"), &Room::Main));
}

fn dial_out_ended(e: &DialOutEnded) {
    assert_eq!(text(&e.participant_jid), Some("51d81406-ddbf-44ab-afbc-a29c9107295b@8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("51d81406-ddbf-44ab-afbc-a29c9107295b@8x8.vc/y2U0bCdE"));
    assert_eq!((text(&e.participant_id), &e.room), (Some("58cd113f"), &Room::Main));
    assert_eq!(e.disconnect_reason, LEFT);
}

fn feedback(e: &Feedback) {
    assert_eq!((e.rating, e.stars()), (Some(5), Some(5)));
    assert_eq!((text(&e.comments), text(&e.user_id)), (Some("Clear sound all the way."), Some(ADA.id)));
}

fn usage(e: &Usage) {
    let [browser, phone] = &e.0[..] else { panic!("two devices, not {}", e.0.len()) };
    for device in [browser, phone] {
        assert_eq!((text(&device.customer_id), &device.room), (Some(CUSTOMER), &Room::Main));
    }
    assert_eq!(text(&browser.device_id), Some("8c8d357b5e872bbacd45197626bd5759"));
    assert_eq!((text(&browser.email), text(&browser.user_id)), (Some(ADA.email), Some(ADA.id)));
    assert_eq!((text(&browser.kid), text(&browser.participant_id)), (Some(KID), Some(ADA.participant_id)));
    assert_eq!((browser.has_mau_p, browser.visitor), (Some(false), Some(false)));
    assert_eq!(browser.call_direction, None);

    assert_eq!(text(&phone.device_id), Some("15550100123 (+15550100123)"));
    assert_eq!((text(&phone.kid), text(&phone.participant_id)), (Some(DIAL_KID), Some("47bc002e")));
    assert_eq!(phone.call_direction, Some(CallDirection::In));
}

fn speaker_stats(e: &SpeakerStats) {
    assert_eq!(e.0.len(), 2);
    for (who, millis) in [(ADA, 1_210_089), (BEN, 311_277)] {
        let stat = &e.0[&Jid::new(who.full_jid)];
        assert_eq!((stat.time, stat.time()), (Some(millis), Some(Duration::from_millis(millis as u64))));
        assert_eq!((text(&stat.id), text(&stat.name)), (Some(who.id), Some(who.name)));
        assert_eq!((text(&stat.email), text(&stat.avatar)), (Some(who.email), Some(who.avatar)));
    }
}

fn rtcstats_uploaded(e: &RtcstatsUploaded) {
    assert_eq!(text(&e.stats_url), Some(STATS));
    assert_eq!((text(&e.user_id), text(&e.participant_name)), (Some(ADA.id), Some(ADA.name)));
    assert_eq!(text(&e.endpoint_id), Some(ADA.participant_id));
}

fn poll_created(e: &PollCreated) {
    assert_eq!((text(&e.poll_id), &e.room), (Some("p4mathpoll"), &breakout(BREAKOUT)));
    assert_eq!(text(&e.question), Some("How often should we meet?"));
    let answers: Vec<_> = e.answers.iter().map(|answer| (answer.key, text(&answer.name))).collect();
    let expected =
        [(Some(1), Some("Once a week")), (Some(2), Some("Twice a week")), (Some(3), Some("Every day"))];
    assert_eq!(answers, expected);
    poll_user(&e.user, &ADA);
}

fn poll_answer(e: &PollAnswer) {
    assert_eq!((text(&e.poll_id), &e.room), (Some("p4mathpoll"), &breakout(BREAKOUT)));
    let answers: Vec<_> =
        e.answers.iter().map(|answer| (answer.key, text(&answer.name), answer.value)).collect();
    let expected = [
        (Some(1), Some("Once a week"), Some(false)),
        (Some(2), Some("Twice a week"), Some(true)),
        (Some(3), Some("Every day"), Some(false)),
    ];
    assert_eq!(answers, expected);
    poll_user(&e.user, &BEN);
}

fn poll_user(user: &Option<PollUser>, who: &Person) {
    let user = user.as_ref().expect("a user");
    assert_eq!(text(&user.participant_jid), Some(who.jid));
    assert_eq!(text(&user.participant_id), Some(who.participant_id));
    assert_eq!((text(&user.name), text(&user.current_name)), (Some(who.name), Some(who.name)));
    assert_eq!((text(&user.id), text(&user.email)), (Some(who.id), Some(who.email)));
}

fn reactions(e: &Reactions) {
    assert_eq!((text(&e.user_id), text(&e.participant_name)), (Some(BEN.id), Some(BEN.name)));
    assert_eq!(text(&e.participant_jid), Some(BEN.full_jid));
    assert_eq!(e.reactions, [Reaction::Like, Reaction::Clap]);
}

fn aggregated_reactions(e: &AggregatedReactions) {
    let all: Vec<_> =
        e.0.iter()
            .map(|one| (text(&one.user_id), text(&one.participant_name), one.timestamp, one.reaction.clone()))
            .collect();
    let expected = [
        (Some(BEN.id), Some(BEN.name), at(1_795_421_220_100), Some(Reaction::Like)),
        (Some(BEN.id), Some(BEN.name), at(1_795_421_220_300), Some(Reaction::Clap)),
        (Some(ADA.id), Some(ADA.name), at(1_795_421_761_482), Some(Reaction::Surprised)),
    ];
    assert_eq!(all, expected);
}

fn transcription_started(e: &TranscriptionStarted) {
    assert_eq!(text(&e.participant_jid), Some("transcriber@recorder.8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("transcriber@recorder.8x8.vc/c7Y4fGhI"));
    assert_eq!((text(&e.participant_id), text(&e.conference)), (Some("d4e5f607"), Some(CONFERENCE)));
    assert_eq!(e.room, Room::Main);
}

fn transcription_ended(e: &TranscriptionEnded) {
    assert_eq!(text(&e.participant_jid), Some("transcriber@recorder.8x8.vc"));
    assert_eq!(text(&e.participant_full_jid), Some("transcriber@recorder.8x8.vc/c7Y4fGhI"));
    assert_eq!((text(&e.participant_id), text(&e.conference)), (Some("d4e5f607"), Some(CONFERENCE)));
    assert_eq!(e.room, Room::Main);
}

fn transcription_uploaded(e: &TranscriptionUploaded) {
    assert_eq!(text(&e.pre_authenticated_link), Some(TRANSCRIPTION));
}

fn transcription_chunk_received(e: &TranscriptionChunkReceived) {
    assert_eq!(text(&e.text), Some(" Let us begin with the second exercise."));
    assert_eq!(text(&e.language), Some("en-US"));
    assert_eq!(text(&e.message_id), Some("01a20d5e-2f38-7c41-9b60-3d5e8f7a1c22"));
    let speaker = e.participant.as_ref().expect("a speaker");
    assert_eq!((text(&speaker.id), text(&speaker.user_id)), (Some(ADA.participant_id), Some(ADA.id)));
    assert_eq!((text(&speaker.name), text(&speaker.email)), (Some(ADA.name), Some(ADA.email)));
    assert_eq!(text(&speaker.avatar_url), Some(ADA.avatar));
}

fn chat_uploaded(e: &ChatUploaded) {
    assert_eq!(text(&e.pre_authenticated_link), Some(CHAT));
}

fn document_added(e: &DocumentAdded) {
    let link = "https://8x8.vc/documents/FAKE-TOKEN-document/worksheet.pdf";
    assert_eq!((text(&e.pre_authenticated_link), e.link_expiration), (Some(link), at(1_795_507_900_250)));
    assert_eq!(text(&e.file_name), Some("worksheet.pdf"));
    assert_eq!(text(&e.file_id), Some("eadcc4d2-b013-45d7-8f2c-370b1425dce2"));
    assert_eq!((e.file_size, e.file_created_at), (Some(48_213), at(1_795_421_499_000)));
    assert_eq!(text(&e.initiator_id), Some(ADA.id));
}

fn document_deleted(e: &DocumentDeleted) {
    assert_eq!(text(&e.file_name), Some("worksheet.pdf"));
    assert_eq!(text(&e.file_id), Some("eadcc4d2-b013-45d7-8f2c-370b1425dce2"));
    assert_eq!(text(&e.initiator_id), Some(ADA.id));
}
