//! What JaaS sent in the last day.

use std::time::Duration;

use jaas_core::Timestamp;
use jaas_testkit::event;
use jaas_testkit::event::EventBuilder;

/// The text of a stranger who attacks the pages.
pub(crate) const HOSTILE: &str =
    "<script>document.title='pwned'</script>\"'><img src=//evil.example/x onerror=alert(1)>\u{202e}";
/// The room that the application does not know at first.
pub(crate) const UNKNOWN: &str = "annex";
/// The room whose events wait for a service that is away.
pub(crate) const RETRIED: &str = "observatory";
/// The key of the event that has a conflict.
pub(crate) const CONFLICTING: &str = "8d1f3c5a-conflict";
/// The session of the meeting with a timeline.
pub(crate) const MEETING: &str = "7f4c1a52-6a63-4c1e-9d2b-8f7f5e0c9a10";

const ROOMS: [&str; 6] = ["math", "physics", "biology", "chemistry", "history", "choir"];
const PEOPLE: [&str; 6] =
    ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Zoë Müller", "Noor Haddad", "Li Wei"];

/// The events that arrive together in the batch of this number.
pub(crate) fn batch(number: usize, at: Timestamp) -> Vec<EventBuilder> {
    let room = ROOMS[number % ROOMS.len()];
    let session = format!("5b0e9a10-0000-4000-8000-{number:012}");
    let key = |part: &str| format!("{number:04}-{part}");
    let mut events = vec![event::room_created().key(key("created")).untyped()];
    for (index, name) in PEOPLE.iter().cycle().skip(number).take(1 + number * 7 % 4).enumerate() {
        let joined = event::participant_joined()
            .named(name)
            .participant(format!("{number:04x}{index:04x}"))
            .key(key(&format!("joined-{index}")));
        events.push(joined.untyped());
    }
    let mut events: Vec<_> =
        events.into_iter().map(|event| event.in_room(room).in_session(&*session).at(at)).collect();
    let alone = |event: EventBuilder, part: &str| {
        event.key(key(part)).in_session(format!("{part}-{number:04}")).at(at)
    };
    if number.is_multiple_of(3) {
        events.push(alone(
            event::participant_joined().named("Mary Example").in_room(UNKNOWN).untyped(),
            "annex",
        ));
    }
    if number % 11 == 5 {
        events.push(alone(event::recording_uploaded().in_room(room).untyped(), "recording"));
    }
    if number % 9 == 4 {
        events.push(alone(event::feedback().in_room(room).untyped(), "feedback"));
    }
    events
}

/// Events that wait for two hours.
pub(crate) fn retried(at: Timestamp) -> Vec<EventBuilder> {
    let event = |number| {
        let event = event::participant_joined().in_room(RETRIED).key(format!("retried-{number}"));
        event.in_session(format!("observatory-{number}")).at(at).untyped()
    };
    (0..3).map(event).collect()
}

/// One event with the attack in each field.
pub(crate) fn hostile(at: Timestamp) -> EventBuilder {
    let event =
        event::unknown(HOSTILE).key(HOSTILE).in_room(HOSTILE).in_session(HOSTILE).to_endpoint(HOSTILE);
    event.set("data.name", HOSTILE).at(at)
}

/// An event, and another body with its key.
pub(crate) fn conflict(at: Timestamp) -> [EventBuilder; 2] {
    let event =
        event::participant_joined().key(CONFLICTING).named("Ada Lovelace").in_session("conflicted").at(at);
    let other = event.clone().named("Ada King").set("data.department", "algebra");
    [event.untyped(), other.untyped()]
}

/// A meeting of an hour that has just ended.
pub(crate) fn meeting(ended: Timestamp) -> Vec<EventBuilder> {
    let at = |minute: u64| ended.saturating_sub(Duration::from_secs(60 * (60 - minute)));
    let joined = |person: usize, minute| {
        let event = event::participant_joined().named(PEOPLE[person]).user(format!("user-{person}"));
        event.participant(format!("c0ffee{person:02}")).at(at(minute)).untyped()
    };
    let left = |person: usize, minute| {
        let event = event::participant_left().named(PEOPLE[person]).user(format!("user-{person}"));
        event.participant(format!("c0ffee{person:02}")).at(at(minute)).untyped()
    };
    let events = vec![
        event::room_created().at(at(0)).untyped(),
        joined(0, 0),
        joined(1, 2),
        joined(2, 5),
        event::recording_started().at(at(6)).untyped(),
        joined(3, 20),
        left(1, 31),
        left(3, 42),
        event::recording_ended().at(at(55)).untyped(),
        left(0, 58),
        left(2, 60),
        event::room_destroyed().at(at(60)).untyped(),
    ];
    let numbered = events.into_iter().enumerate();
    numbered
        .map(|(index, event)| event.key(format!("meeting-{index:02}")).in_room("lecture").in_session(MEETING))
        .collect()
}
