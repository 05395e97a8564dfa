//! The examples of 8x8's page, which nobody may correct: each reaches its own method with its fields typed.

use std::time::Duration;

use jaas_core::event::{CallDirection, Reaction};
use jaas_core::{Jid, Room};
use jaas_testkit::fixture;
use serde_json::Value;

use crate::reading::*;

const TENANT: &str = APP;
const ROOM: &str = "testroom2@conference.vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c.stage.8x8.vc";
const BREAKOUT_ROOM: &str = "e0f49fd5-c3dc-4f36-9612-8cdab4d8ccfd";
/// What the page shows in the place of e-mail and XMPP addresses.
const MASKED: &str = "[email\u{a0}protected]";
const FULL: &str = "[email\u{a0}protected]/";

#[test]
fn every_example_is_typed_when_only_its_key_is_replaced() {
    for (n, fixture) in fixture::DOCUMENTED.iter().enumerate() {
        let key = format!("documented-{n}");
        let delivery = read(&fixture::with_key(fixture.body, &key).expect("a key"));
        assert_eq!(delivery.envelope.idempotency_key, *key);
        assert_eq!(delivery.envelope.event_type, fixture.name);
        let check = CHECKS.iter().find(|check| check.name == fixture.name).expect(fixture.name);
        let seen = dispatch(&delivery);
        assert_eq!((seen.method, seen.method.as_str()), (check.kind, fixture.name));
        (check.check)(&delivery, &seen.event);
    }
    assert_eq!((fixture::DOCUMENTED.len(), CHECKS.len()), (33, 33));
}

#[test]
fn the_tenant_is_always_the_one_in_fqn() {
    for fixture in fixture::DOCUMENTED {
        let wire: Value = serde_json::from_str(fixture.body).expect("JSON");
        let envelope = read(fixture.body).envelope;
        let fqn = wire["fqn"].as_str().expect("an fqn");
        let (tenant, room) = fqn.split_once('/').expect("a tenant");
        assert_eq!((text(&envelope.app_id), envelope.fqn.room()), (Some(tenant), room), "{}", fixture.name);
        assert_eq!(text(&envelope.customer_id), wire["customerId"].as_str(), "{}", fixture.name);
        assert_eq!(text(&envelope.session_id), wire["sessionId"].as_str(), "{}", fixture.name);
        assert_eq!(envelope.timestamp.map(|at| at.as_millis()), wire["timestamp"].as_i64());
    }
}

const CHECKS: &[Check] = checks! {
    "ROOM_CREATED" => RoomCreated(_, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(ROOM), &breakout(BREAKOUT_ROOM)));
    }
    "ROOM_DESTROYED" => RoomDestroyed(_, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(ROOM), &breakout(BREAKOUT_ROOM)));
        assert!(e.media_types.is_empty());
    }
    "PARTICIPANT_JOINED" => ParticipantJoined(d, e) {
        let p = &e.participant;
        assert_eq!(d.envelope.timestamp, at(1_600_951_818_143));
        assert_eq!((p.moderator, text(&p.name), text(&p.group)), (Some(true), Some("John Doe"), Some(TENANT)));
        assert_eq!((text(&p.email), text(&p.id)), (Some(MASKED), Some("uniqueUserIdentifier")));
        assert_eq!((text(&p.participant_jid), text(&p.participant_id)), (Some(MASKED), Some("3988218d")));
        assert_eq!(text(&p.avatar), Some("https://link.to/user/avatar/picture"));
        assert_eq!(e.room, breakout(BREAKOUT_ROOM));
    }
    "PARTICIPANT_LEFT" => ParticipantLeft(_, e) {
        let p = &e.participant;
        assert_eq!((p.moderator, text(&p.name), text(&p.group)), (Some(true), Some("John Doe"), Some(TENANT)));
        assert_eq!((text(&p.email), text(&p.id)), (Some(MASKED), Some("uniqueUserIdentifier")));
        assert_eq!((text(&p.participant_jid), text(&p.participant_id)), (Some(MASKED), Some("3988218d")));
        assert_eq!(text(&p.avatar), Some("https://link.to/user/avatar/picture"));
        assert_eq!((&e.disconnect_reason, &e.room), (&LEFT, &breakout(BREAKOUT_ROOM)));
        assert!(!e.is_room_switch());
    }
    "PARTICIPANT_JOINED_LOBBY" => ParticipantJoinedLobby(_, e) {
        let p = &e.participant;
        assert_eq!((p.moderator, p.hidden_from_recorder), (Some(false), Some(false)));
        assert_eq!((text(&p.name), text(&p.id)), (Some("John"), Some("22efffd2458f483ab3706ebcb9a8cf57")));
        assert_eq!((text(&p.participant_jid), text(&p.participant_id)), (Some(MASKED), Some("3988218d")));
        assert_eq!((text(&p.email), text(&p.group)), (Some(MASKED), None));
        assert_eq!(e.room, Room::Main);
    }
    "PARTICIPANT_LEFT_LOBBY" => ParticipantLeftLobby(_, e) {
        let p = &e.participant;
        assert_eq!((p.moderator, p.hidden_from_recorder), (Some(false), Some(false)));
        assert_eq!((text(&p.name), text(&p.id)), (Some("John"), Some("22efffd2458f483ab3706ebcb9a8cf57")));
        assert_eq!((text(&p.participant_jid), text(&p.participant_id)), (Some(MASKED), Some("3988218d")));
        assert_eq!((&e.disconnect_reason, &e.room), (&LEFT, &Room::Main));
    }
    "ROLE_CHANGED" => RoleChanged(_, e) {
        assert_eq!(text(&e.role), Some("moderator"));
        for (party, resource) in [(&e.granted_to, "oGHh5j2yMsyj"), (&e.granted_by, "dF6pUxzZMaFk")] {
            let party = party.as_ref().expect("a party");
            let jid = party.participant_jid.as_ref().expect("an address");
            assert_eq!((jid.bare(), jid.resource()), (MASKED, Some(resource)));
            assert_eq!((text(&party.participant_id), text(&party.id)), (None, None));
        }
    }
    "RECORDING_STARTED" => RecordingStarted(d, e) {
        // `appId` comes twice, the first one is another tenant's, and so is `customerId`.
        assert_eq!(text(&d.envelope.app_id), Some(TENANT));
        assert_eq!(text(&d.envelope.customer_id), Some("143ce1379c35426aa80a902a0204ed09"));
        assert_eq!(text(&e.conference), Some(ROOM));
    }
    "RECORDING_ENDED" => RecordingEnded(d, e) {
        assert_eq!(text(&d.envelope.app_id), Some(TENANT));
        assert_eq!(text(&d.envelope.customer_id), Some("143ce1379c35426aa80a902a0204ed09"));
        assert_eq!(text(&e.conference), Some(ROOM));
    }
    "RECORDING_UPLOADED" => RecordingUploaded(_, e) {
        let people: Vec<_> =
            e.participants.iter().map(|p| (text(&p.name), text(&p.avatar), text(&p.id))).collect();
        let expected = [
            (Some("Jane Doe"), Some("https://link.to/user/avatar/picture1"), Some("uniqueUserIdentifier1")),
            (Some("John Doe "), Some("https://link.to/user/avatar/picture2"), Some("uniqueUserIdentifier2")),
        ];
        assert_eq!(people, expected);
        let link = e.pre_authenticated_link.as_ref().expect("a link");
        assert_eq!(link.host(), Some("objectstorage.us-phoenix-1.oraclecloud.com"));
        assert!(link.expose().ends_with("/testroom2_2020-09-24-12-01-07.mp4"));
        assert_eq!((e.share, text(&e.initiator_id)), (Some(true), Some("uniqueUserIdentifier1")));
        assert_eq!((e.duration_sec, e.duration()), (Some(15), Some(Duration::from_secs(15))));
        assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_612_175_247_396), at(1_612_175_263_000)));
        assert_eq!((text(&e.recording_session_id), e.link_expiration), (Some("nkdsnfkdfkjdsfdsjklds"), None));
    }
    "VIDEO_SEGMENT_UPLOADED" => VideoSegmentUploaded(_, e) {
        let link = e.pre_authenticated_link.as_ref().expect("a link");
        assert_eq!(link.host(), Some("objectstorage.eu-frankfurt-1.oraclecloud.com"));
        assert_eq!((e.start_timestamp, e.end_timestamp), (at(1_648_810_728_279), at(1_648_810_818_279)));
        assert_eq!((text(&e.recording_session_id), e.link_expiration), (Some("nkdsnfkdfkjdsfdsjklds"), None));
    }
    "SCREEN_SHARING_HISTORY" => ScreenSharingHistory(_, e) {
        let link = e.pre_authenticated_link.as_ref().expect("a link");
        assert_eq!(link.host(), Some("api-vo.jitsi.net"));
        assert!(link.expose().ends_with("?X-JaaS-Key=6ca1e11fe2bb-2b4f-123a-9499-6ca1e11fe2bb"));
        assert_eq!((&e.pre_authenticated_link_v2, e.link_expiration), (&None, at(1_648_983_143_647)));
    }
    "LIVE_STREAM_STARTED" => LiveStreamStarted(_, e) {
        assert_eq!(text(&e.conference), Some(ROOM));
    }
    "LIVE_STREAM_ENDED" => LiveStreamEnded(d, e) {
        // There is no `appId`.
        assert_eq!((text(&d.envelope.app_id), text(&e.conference)), (Some(TENANT), Some(ROOM)));
    }
    "SIP_CALL_IN_STARTED" => SipCallInStarted(_, e) {
        assert_eq!(text(&e.sip_address), Some(&*format!("sip:{MASKED}")));
        assert_eq!((text(&e.nick), text(&e.participant_id)), (Some("nickname"), Some("10a78ee2")));
        assert_eq!((text(&e.participant_jid), &e.room), (Some(MASKED), &Room::Main));
    }
    "SIP_CALL_IN_ENDED" => SipCallInEnded(_, e) {
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("10a78ee2")));
        assert_eq!(e.disconnect_reason, None);
    }
    "SIP_CALL_OUT_STARTED" => SipCallOutStarted(_, e) {
        assert_eq!(text(&e.sip_address), Some(&*format!("sip:{MASKED}")));
        assert_eq!((text(&e.nick), text(&e.participant_id)), (Some("nickname"), Some("10a78ee2")));
        assert_eq!((text(&e.participant_jid), &e.room), (Some(MASKED), &Room::Main));
    }
    "SIP_CALL_OUT_ENDED" => SipCallOutEnded(_, e) {
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("10a78ee2")));
        assert_eq!(e.disconnect_reason, None);
    }
    "DIAL_IN_STARTED" => DialInStarted(_, e) {
        assert_eq!((&e.direction, text(&e.nick)), (&Some(CallDirection::In), Some("40364630871 (+40364630871)")));
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("47bc002e")));
    }
    "DIAL_IN_ENDED" => DialInEnded(_, e) {
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("47bc002e")));
    }
    "DIAL_OUT_STARTED" => DialOutStarted(_, e) {
        assert_eq!((&e.direction, text(&e.nick)), (&Some(CallDirection::Out), Some("40364630871 (+40364630871)")));
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("47bc002e")));
    }
    "DIAL_OUT_ENDED" => DialOutEnded(_, e) {
        assert_eq!((text(&e.participant_jid), text(&e.participant_id)), (Some(MASKED), Some("47bc002e")));
        assert_eq!(e.disconnect_reason, None);
    }
    "FEEDBACK" => Feedback(_, e) {
        assert_eq!((e.rating, e.stars(), text(&e.comments)), (Some(5), Some(5), Some("test feedback")));
        assert_eq!(text(&e.user_id), Some("cd4d177c-b342-41e6-a9b9-8be7ff0b0cc8"));
    }
    "USAGE" => Usage(_, e) {
        let [device] = &e.0[..] else { panic!("one device, not {}", e.0.len()) };
        assert_eq!(text(&device.customer_id), Some("1d2e6a201d594c8f87a630e3f70826d2"));
        assert_eq!(text(&device.device_id), Some("349304d3627f59eac2015f29a9ade613"));
        assert_eq!(text(&device.kid), Some("vpaas-magic-cookie-1d2e6a201d594c8f87a630e3f70826d2/5b3c5a"));
        assert_eq!(text(&device.user_id), Some("google-oauth2|114025754820379595029"));
        assert_eq!((text(&device.email), &device.call_direction), (Some(MASKED), &None));
    }
    "SPEAKER_STATS" => SpeakerStats(_, e) {
        assert_eq!(e.0.len(), 2);
        for (resource, millis, name, id) in [
            ("66wbG6MC", 10_089, "Test user 1", "google-oauth2|114025754820379595029"),
            ("N6GjCJU9", 11_277, "Test user 2", "google-oauth2|114025754820379595030"),
        ] {
            let stat = &e.0[&Jid::new(format!("{FULL}{resource}"))];
            assert_eq!(stat.time(), Some(Duration::from_millis(millis)));
            assert_eq!((text(&stat.name), text(&stat.id)), (Some(name), Some(id)));
            assert_eq!((text(&stat.email), text(&stat.avatar)), (Some(MASKED), None));
        }
    }
    "RTCSTATS_UPLOADED" => RtcstatsUploaded(_, e) {
        let link = e.stats_url.as_ref().expect("a link");
        assert_eq!(link.host(), Some("jitsi-micros-rtcstats-server.s3.us-west-2.amazonaws.com"));
        assert_eq!((text(&e.user_id), text(&e.participant_name)), (Some("114025754820379595029"), Some("Test user")));
        assert_eq!(text(&e.endpoint_id), Some("231ffc"));
    }
    "POLL_CREATED" => PollCreated(d, e) {
        // There is no `appId`.
        assert_eq!(text(&d.envelope.app_id), Some("vpaas-magic-cookie-a062b751172947d3832406582153a4c8"));
        assert_eq!(text(&e.question), Some("What is your opinion about ... ?"));
        assert_eq!(text(&e.poll_id), Some("9fpjw0bmwf"));
        let options: Vec<_> = e.answers.iter().map(|a| (a.key, text(&a.name))).collect();
        let expected = [
            (Some(1), Some("Answer 1")),
            (Some(2), Some("Answer 2")),
            (Some(3), Some("Answer 3")),
            (Some(4), Some("Answer 4")),
        ];
        assert_eq!(options, expected);
        let user = e.user.as_ref().expect("a user");
        assert_eq!((text(&user.current_name), text(&user.name)), (Some("My Current Name"), Some("Jwt Name")));
        assert_eq!(text(&user.id), Some("8847db5c-7093-4f93-b91a-4186c10e2e72"));
        assert_eq!((text(&user.participant_jid), text(&user.email)), (Some(MASKED), Some(MASKED)));
        assert_eq!(e.room, breakout(BREAKOUT_ROOM));
    }
    "POLL_ANSWER" => PollAnswer(d, e) {
        assert_eq!(text(&d.envelope.app_id), Some("vpaas-magic-cookie-a062b751172947d3832406582153a4c8"));
        let choices: Vec<_> = e.answers.iter().map(|a| (a.key, text(&a.name), a.value)).collect();
        let expected = [
            (Some(1), Some("Answer 1"), Some(false)),
            (Some(2), Some("Answer 2"), Some(true)),
            (Some(3), Some("Answer 3"), Some(false)),
            (Some(4), Some("Answer 4"), Some(true)),
        ];
        assert_eq!(choices, expected);
        let user = e.user.as_ref().expect("a user");
        assert_eq!((text(&user.current_name), text(&user.name)), (Some("My Current Name"), Some("Jwt Name")));
        assert_eq!((text(&e.poll_id), &e.room), (Some("9fpjw0bmwf"), &breakout(BREAKOUT_ROOM)));
    }
    "REACTIONS" => Reactions(_, e) {
        assert_eq!((text(&e.user_id), text(&e.participant_name)), (Some("114025754820379595029"), Some("Test user")));
        assert_eq!(text(&e.participant_jid), Some(&*format!("{FULL}1H9RJFvI")));
        assert_eq!(e.reactions, [Reaction::Surprised]);
    }
    "AGGREGATED_REACTIONS" => AggregatedReactions(_, e) {
        let all: Vec<_> = e
            .0
            .iter()
            .map(|r| (text(&r.user_id), text(&r.participant_name), r.timestamp, r.reaction.clone()))
            .collect();
        let (one, two) = (Some("114025754820379595029"), Some("114025754820379595030"));
        let expected = [
            (one, Some("Test user 1"), at(1_648_810_299_482), Some(Reaction::Surprised)),
            (one, Some("Test user 1"), at(1_648_810_301_066), Some(Reaction::Silence)),
            (two, Some("Test user 2"), at(1_648_810_305_680), Some(Reaction::Like)),
        ];
        assert_eq!(all, expected);
    }
    "TRANSCRIPTION_UPLOADED" => TranscriptionUploaded(_, e) {
        assert_eq!(text(&e.pre_authenticated_link), Some("https://link.to/transcriptions/file"));
    }
    "TRANSCRIPTION_CHUNK_RECEIVED" => TranscriptionChunkReceived(_, e) {
        assert_eq!((text(&e.text), text(&e.language)), (Some(" This is a final transcription phrase."), Some("en")));
        assert_eq!(text(&e.message_id), Some("018c57d5-c800-72db-94fe-454a891790f3"));
        let speaker = e.participant.as_ref().expect("a speaker");
        assert_eq!((text(&speaker.id), text(&speaker.name)), (Some("abcd1234"), Some("Jane Doe")));
        assert_eq!(text(&speaker.user_id), Some("abcdefgh-1234-5678-abcd-9012345abcde"));
        assert_eq!(text(&speaker.email), Some(MASKED));
        assert_eq!(text(&speaker.avatar_url), Some("https://www.gravatar.com/avatar/a1b2c3d4e5?d=wavatar&size=200"));
    }
    "CHAT_UPLOADED" => ChatUploaded(_, e) {
        assert_eq!(text(&e.pre_authenticated_link), Some("https://link.to/chat/file"));
    }
};
