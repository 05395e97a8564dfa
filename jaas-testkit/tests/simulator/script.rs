//! Meetings by hand: which action emits which events, and which actions are impossible.

use std::collections::BTreeSet;
use std::time::Duration;

use jaas_core::event::{Event, EventKind, Reaction};
use jaas_core::{Delivery, Timestamp};
use jaas_testkit::simulator::{Meeting, Person, Presence};

use crate::causality;
use crate::projection::Projection;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn ada() -> Person {
    Person::named("Ada").moderator()
}

/// A meeting with a moderator and another participant.
fn meeting() -> (Meeting, Presence, Presence) {
    let mut meeting = Meeting::new(1);
    let ada = meeting.join(&ada());
    let ben = meeting.join(&Person::named("Ben"));
    (meeting, ada, ben)
}

fn names(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| &*delivery.envelope.event_type).collect()
}

/// The events that an action emits immediately.
fn left_by(act: impl FnOnce(&mut Meeting, Presence, Presence)) -> Vec<String> {
    let (mut meeting, ada, ben) = meeting();
    let before: BTreeSet<_> = keys(&meeting);
    act(&mut meeting, ada, ben);
    let now = meeting.now();
    let new = meeting.deliveries().into_iter().filter(|delivery| {
        let key = delivery.envelope.idempotency_key.to_string();
        !before.contains(&key) && delivery.envelope.timestamp <= Some(now)
    });
    new.map(|delivery| delivery.envelope.event_type.into_owned()).collect()
}

fn keys(meeting: &Meeting) -> BTreeSet<String> {
    meeting.deliveries().iter().map(|delivery| delivery.envelope.idempotency_key.to_string()).collect()
}

#[test]
fn each_action_emits_its_events() {
    let cem = Person::named("Cem");
    assert_eq!(
        names(&meeting().0.deliveries()),
        ["ROOM_CREATED", "PARTICIPANT_JOINED", "PARTICIPANT_JOINED", "USAGE"]
    );
    assert_eq!(
        left_by(|m, _, _| {
            m.join(&cem.clone());
        }),
        ["PARTICIPANT_JOINED", "USAGE"]
    );
    assert_eq!(
        left_by(|m, _, _| {
            m.join_as_visitor(&cem.clone());
        }),
        ["PARTICIPANT_JOINED", "USAGE"]
    );
    assert_eq!(left_by(|m, _, ben| m.leave(ben)), ["PARTICIPANT_LEFT"]);
    assert_eq!(left_by(|m, _, ben| m.lose_connection(ben)), ["PARTICIPANT_LEFT"]);
    assert_eq!(left_by(|m, _, ben| m.vanish(ben)), [""; 0]);
    assert_eq!(left_by(|m, ada, ben| m.kick(ada, ben)), ["PARTICIPANT_LEFT"]);
    assert_eq!(left_by(|m, ada, ben| m.promote(ada, ben)), ["ROLE_CHANGED"]);
    assert_eq!(left_by(|m, _, ben| m.set_subject(ben, Some("x"))), ["PARTICIPANT_SUBJECT_UPDATE"]);
    assert_eq!(
        left_by(|m, _, ben| {
            m.second_tab(ben);
        }),
        ["PARTICIPANT_JOINED", "USAGE"]
    );
    assert_eq!(
        left_by(|m, _, ben| {
            m.flip(ben);
        }),
        ["PARTICIPANT_JOINED", "USAGE", "PARTICIPANT_LEFT"]
    );
    let again = left_by(|m, _, ben| {
        m.leave(ben);
        m.rejoin(ben);
    });
    assert_eq!(again, ["PARTICIPANT_LEFT", "PARTICIPANT_JOINED", "USAGE"]);
    let let_in = left_by(|m, ada, _| {
        let waiting = m.knock(&cem.clone());
        m.admit(ada, waiting);
    });
    assert_eq!(let_in, ["PARTICIPANT_JOINED_LOBBY", "PARTICIPANT_LEFT_LOBBY", "PARTICIPANT_JOINED", "USAGE"]);
    let turned_away = left_by(|m, ada, _| {
        let waiting = m.knock(&cem.clone());
        m.turn_away(ada, waiting);
    });
    assert_eq!(turned_away, ["PARTICIPANT_JOINED_LOBBY", "PARTICIPANT_LEFT_LOBBY"]);
    let breakout = left_by(|m, _, ben| {
        let room = m.open_breakout();
        m.move_to(ben, room);
        m.move_back(ben);
        m.close_breakout(room);
    });
    let moves = ["PARTICIPANT_LEFT", "PARTICIPANT_JOINED", "PARTICIPANT_LEFT", "PARTICIPANT_JOINED"];
    assert_eq!(breakout, [&["ROOM_CREATED"][..], &moves, &["ROOM_DESTROYED"]].concat());
    let recording = left_by(|m, ada, _| {
        m.start_recording(ada);
        m.wait(minutes(21));
        m.stop_recording();
        m.wait(minutes(5));
    });
    let uploads = ["RECORDING_UPLOADED", "VIDEO_SEGMENT_UPLOADED", "VIDEO_SEGMENT_UPLOADED"];
    assert_eq!(recording, [&["RECORDING_STARTED", "RECORDING_ENDED"][..], &uploads].concat());
    let streaming = left_by(|m, ada, _| {
        m.start_stream(ada);
        m.stop_stream();
    });
    assert_eq!(streaming, ["LIVE_STREAM_STARTED", "LIVE_STREAM_ENDED"]);
    let speech = left_by(|m, ada, ben| {
        m.speak(ben, "not written down", minutes(1));
        m.start_transcription(ada);
        m.speak(ben, "Let us begin.", minutes(1));
        m.stop_transcription();
    });
    assert_eq!(speech, ["TRANSCRIPTION_STARTED", "TRANSCRIPTION_CHUNK_RECEIVED", "TRANSCRIPTION_ENDED"]);
    let calls = left_by(|m, _, _| {
        for call in [m.dial_in("1"), m.dial_out("2"), m.sip_in("sip:a@b"), m.sip_out("sip:c@d")] {
            m.hang_up(call);
        }
    });
    let begun = [
        "DIAL_IN_STARTED",
        "USAGE",
        "DIAL_OUT_STARTED",
        "USAGE",
        "SIP_CALL_IN_STARTED",
        "SIP_CALL_OUT_STARTED",
    ];
    let ended = ["DIAL_IN_ENDED", "DIAL_OUT_ENDED", "SIP_CALL_IN_ENDED", "SIP_CALL_OUT_ENDED"];
    assert_eq!(calls, [&begun[..], &ended].concat());
    let poll = left_by(|m, ada, ben| {
        let poll = m.open_poll(ada, "?", &["yes", "no"]);
        m.answer_poll(ben, poll, &[1]);
    });
    assert_eq!(poll, ["POLL_CREATED", "POLL_ANSWER"]);
    let document = left_by(|m, ada, ben| {
        let document = m.share_document(ben, "a.pdf");
        m.delete_document(ada, document);
    });
    assert_eq!(document, ["DOCUMENT_ADDED", "DOCUMENT_DELETED"]);
    assert_eq!(left_by(|m, _, ben| m.react(ben, &[Reaction::Like])), ["REACTIONS"]);
    assert_eq!(left_by(|m, _, ben| m.rate(ben, Some(5), "good")), ["FEEDBACK"]);
    assert_eq!(left_by(|m, _, ben| m.chat(ben)), [""; 0]);
    let end = left_by(|m, _, _| m.end());
    assert_eq!(end, ["PARTICIPANT_LEFT", "PARTICIPANT_LEFT", "ROOM_DESTROYED"]);
}

/// A meeting in which everything happens.
fn tour() -> Meeting {
    let mut meeting = Meeting::new(7).in_room("Weekly Sync").with_rtcstats();
    let ada = meeting.join(&ada());
    let waiting = meeting.knock(&Person::guest());
    let guest = meeting.admit(ada, waiting);
    let ben = meeting.join(&Person::named("Ben"));
    meeting.promote(ada, ben);
    meeting.set_subject(ada, Some("Exercise 2"));
    meeting.start_recording(ada);
    meeting.start_stream(ben);
    meeting.start_transcription(ada);
    meeting.speak(ada, " Let us begin.", minutes(2));
    meeting.share_screen(ben);
    let poll = meeting.open_poll(ada, "How often?", &["Once", "Twice"]);
    meeting.answer_poll(ben, poll, &[0]);
    meeting.answer_poll(ben, poll, &[1]);
    meeting.answer_poll(guest, poll, &[1]);
    meeting.react(guest, &[Reaction::Clap, Reaction::Clap]);
    meeting.chat(guest);
    let document = meeting.share_document(ben, "worksheet.pdf");
    meeting.delete_document(ada, document);
    for call in [meeting.dial_in("15550100123"), meeting.dial_out("15550100456")] {
        meeting.wait(minutes(3));
        meeting.hang_up(call);
    }
    let sip = [meeting.sip_in("sip:room-4@sip.example.com"), meeting.sip_out("sip:library@sip.example.com")];
    for call in sip {
        meeting.hang_up(call);
    }
    let room = meeting.open_breakout();
    meeting.move_to(ben, room);
    meeting.wait(minutes(10));
    meeting.close_breakout(room);
    meeting.kick(ada, guest);
    meeting.wait(minutes(10));
    meeting.end();
    meeting.wait(Duration::from_secs(5));
    meeting.rate(ben, Some(4), "clear at last");
    meeting
}

#[test]
fn a_script_can_emit_every_event_of_the_table() {
    let deliveries = tour().deliveries();
    let kinds: BTreeSet<EventKind> = deliveries.iter().map(|delivery| delivery.envelope.kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), crate::SIMULATED);
    causality::check(&deliveries).expect("causally valid");
    Projection::of(&deliveries).check(&tour().facts()).expect("learned");
}

#[test]
fn the_facts_say_who_attended_for_how_long_on_which_devices_and_what_remains() {
    let facts = tour().facts();
    assert_eq!(facts.users().into_iter().collect::<Vec<_>>(), ["user-ada", "user-ben"]);
    let whole = facts.ended_at.expect("ended").duration_since(facts.opened_at.expect("opened"));
    assert!(facts.attended("user-ada") > minutes(25) && facts.attended("user-ada") < whole);
    // He was in three rooms one after the other: the main room, the breakout room, the main room.
    let stays: Vec<_> =
        facts.stays.iter().filter(|stay| stay.user.as_ref().is_some_and(|id| *id == "user-ben")).collect();
    assert_eq!(stays.iter().map(|stay| stay.breakout.is_some()).collect::<Vec<_>>(), [false, true, false]);
    let endpoints: BTreeSet<_> =
        stays.iter().map(|stay| stay.participant.as_ref().map(ToString::to_string)).collect();
    assert_eq!(endpoints.len(), 1, "the endpoint id stays the same in every room");
    let reason = |stay: usize| facts.stays[stay].reason.as_ref().map(|reason| reason.as_str());
    assert_eq!(reason(1), Some("kicked"));
    // Three browsers and two phones; SIP devices are not billed.
    assert_eq!(facts.devices.len(), 5);
    assert!(facts.devices.contains("15550100123 (+15550100123)"));
    assert_eq!(facts.calls.len(), 4);
    assert_eq!(facts.polls[0].voters, 2);
    assert_eq!(facts.polls[0].votes.values().copied().collect::<Vec<_>>(), [0, 2], "the last answer counts");
    assert_eq!(facts.reactions.get("clap"), Some(&2));
    assert_eq!(facts.ratings, [4]);
    for (kind, files) in [
        (EventKind::RecordingUploaded, 1),
        (EventKind::VideoSegmentUploaded, 2),
        (EventKind::ScreenSharingHistory, 1),
        (EventKind::TranscriptionUploaded, 1),
        (EventKind::ChatUploaded, 1),
        (EventKind::DocumentAdded, 1),
        (EventKind::RtcstatsUploaded, 3),
    ] {
        assert_eq!(facts.artifacts_of(kind), files, "{kind:?}");
    }
    let json = facts.json();
    assert_eq!(json["billableDevices"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        json["attendedMs"]["user-ada"],
        u64::try_from(facts.attended("user-ada").as_millis()).expect("small")
    );
}

#[test]
fn usage_is_silent_for_a_lone_first_participant_and_brings_both_at_the_second_join() {
    let devices = |meeting: &Meeting| -> Vec<Vec<String>> {
        let usages = meeting.deliveries().into_iter().filter_map(|delivery| match delivery.event() {
            Event::Usage(usage) => Some(usage.0.into_iter().filter_map(|entry| entry.device_id)),
            _ => None,
        });
        usages.map(|entries| entries.map(|device| device.into_exposed()).collect()).collect()
    };
    let person = |name: &str| Person::named(name).on_device(name);

    let mut alone = Meeting::new(1);
    alone.join(&person("a"));
    alone.end();
    assert!(devices(&alone).is_empty() && alone.facts().devices.is_empty());

    let mut one_after_the_other = Meeting::new(1);
    let first = one_after_the_other.join(&person("a"));
    one_after_the_other.leave(first);
    one_after_the_other.join(&person("b"));
    assert!(devices(&one_after_the_other).is_empty());

    let mut meeting = Meeting::new(1);
    let a = meeting.join(&person("a"));
    meeting.join(&person("b"));
    meeting.join(&person("c"));
    meeting.second_tab(a);
    meeting.leave(a);
    meeting.rejoin(a);
    assert_eq!(devices(&meeting), [vec!["a", "b"], vec!["c"], vec!["a"], vec!["a"]]);
    assert_eq!(meeting.facts().devices.len(), 3);

    let mut with_sip = Meeting::new(1);
    with_sip.join(&person("a"));
    with_sip.sip_in("sip:room@example.com");
    assert_eq!(
        devices(&with_sip),
        [vec!["a"]],
        "a SIP device makes a lone participant count, and does not itself"
    );
}

#[test]
fn a_participant_who_vanishes_was_there_until_the_room_closed() {
    let (mut meeting, _, ben) = meeting();
    meeting.wait(minutes(5));
    meeting.vanish(ben);
    meeting.wait(minutes(55));
    meeting.end();
    let facts = meeting.facts();
    assert!(facts.attended("user-ben") > minutes(59));
    assert_eq!(facts.stays[1].left_at, facts.ended_at);
    Projection::of(&meeting.deliveries()).check(&facts).expect("learned");
}

#[test]
fn two_simultaneous_tabs_count_each_minute_once() {
    let (mut meeting, _, ben) = meeting();
    let tab = meeting.second_tab(ben);
    meeting.wait(minutes(30));
    meeting.leave(tab);
    meeting.leave(ben);
    let facts = meeting.facts();
    assert_eq!(facts.stays.len(), 3);
    assert!(facts.attended("user-ben") > minutes(30) && facts.attended("user-ben") < minutes(31));
}

#[test]
fn all_claims_are_copied_and_the_fields_of_the_sender_win() {
    let mut meeting = Meeting::new(1);
    let person = Person::named("Ada")
        .claim("a.b", serde_json::json!([1]))
        .claim("participantId", "mine")
        .claim("id", 7);
    let ada = meeting.join(&person);
    let joined = meeting.deliveries().remove(1);
    let data: serde_json::Value = joined.data_as().expect("JSON");
    assert_eq!((&data["a.b"][0], &data["id"]), (&1.into(), &7.into()));
    let id = meeting.participant_id(ada).expect("an endpoint id");
    assert_eq!(data["participantId"], id.as_str());
    assert!(meeting.facts().users().contains("7"));
}

#[test]
fn a_room_is_spelled_as_the_server_does_and_as_the_url_does() {
    let (mut meeting, ..) = (Meeting::new(1).in_room("Café/7").of_app("vpaas-magic-cookie-abc"), ());
    let ada = meeting.join(&ada());
    meeting.react(ada, &[Reaction::Like]);
    let deliveries = meeting.deliveries();
    let fqn = |index: usize| deliveries[index].envelope.fqn.as_str();
    assert_eq!(fqn(0), "vpaas-magic-cookie-abc/caf%C3%A9%2F7");
    assert_eq!(fqn(2), "vpaas-magic-cookie-abc/Caf%C3%A9%2F7");
    assert!(deliveries.iter().all(|delivery| delivery.envelope.fqn.room_key() == "café/7"));
    assert!(
        deliveries.iter().all(|delivery| delivery
            .envelope
            .customer_id
            .as_ref()
            .is_some_and(|id| *id == "abc"))
    );
}

#[test]
fn the_same_seed_and_actions_are_the_same_bytes() {
    assert_eq!(tour().bodies(), tour().bodies());
    let other = Meeting::new(8);
    assert_ne!(other.session(), tour().session());
    let copy = tour();
    assert_eq!(copy.clone().bodies(), copy.bodies());
}

/// The rule that an action breaks.
fn broken(act: impl FnOnce(&mut Meeting, Presence, Presence) + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(|| {
        let (mut meeting, ada, ben) = meeting();
        act(&mut meeting, ada, ben);
    });
    let panic = panic.expect_err("it cannot happen");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a text")
}

#[test]
fn an_impossible_action_panics_with_the_rule_that_was_broken() {
    type Act = fn(&mut Meeting, Presence, Presence);
    let cases: [(&str, Act); 14] = [
        ("has left", |m, _, ben| {
            m.leave(ben);
            m.leave(ben);
        }),
        ("second_tab", |m, _, ben| {
            m.rejoin(ben);
        }),
        ("only moderators may kick", |m, ada, ben| m.kick(ben, ada)),
        ("only moderators may record", |m, _, ben| m.start_recording(ben)),
        ("moderator already", |m, ada, ben| {
            m.promote(ada, ben);
            m.promote(ada, ben);
        }),
        ("no recording is running", |m, _, _| m.stop_recording()),
        ("stop it first", |m, ada, _| {
            m.start_recording(ada);
            m.start_recording(ada);
        }),
        ("moderators pass the lobby", |m, _, _| {
            m.knock(&ada());
        }),
        ("is in the main room", |m, _, ben| m.move_back(ben)),
        ("is in a breakout room", |m, _, ben| {
            let room = m.open_breakout();
            m.move_to(ben, room);
            m.vanish(ben);
        }),
        ("visitors only watch", |m, _, _| {
            let visitor = m.join_as_visitor(&Person::guest());
            m.react(visitor, &[Reaction::Like]);
        }),
        ("has ended", |m, _, _| {
            m.end();
            m.join(&ada());
        }),
        ("has begun", |m, _, _| drop(m.clone().in_room("late"))),
        ("belongs to another meeting", |m, _, _| {
            let mut full = Meeting::new(2);
            let last = [ada(), ada(), ada()].map(|person| full.join(&person))[2];
            m.leave(last);
        }),
    ];
    for (rule, act) in cases {
        let said = broken(act);
        assert!(said.contains(rule), "{rule:?} in {said:?}");
    }
}

#[test]
fn time_passes_only_on_request_and_no_two_events_share_a_moment() {
    let (meeting, ..) = meeting();
    let begun = Timestamp::from_millis(1_795_420_800_000);
    assert!(meeting.now().duration_since(begun) < Duration::from_secs(2));
    let deliveries = tour().deliveries();
    let times: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.envelope.timestamp).collect();
    assert_eq!(times.len(), deliveries.len());
}
