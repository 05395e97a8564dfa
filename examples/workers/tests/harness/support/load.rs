//! Meetings as JaaS would deliver them: out of order, and some events twice.

use serde_json::{Value, json};

use super::Random;
use super::database::Edges;

pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) body: String,
}

pub(crate) struct Load {
    pub(crate) events: Vec<Event>,
    /// What to send, in this order, as places in `events`.
    pub(crate) deliveries: Vec<usize>,
    /// The rows that must result.
    pub(crate) edges: Edges,
}

const PEOPLE: usize = 4;
const EVENTS_PER_SESSION: usize = 2 + 2 * PEOPLE;
const STARTED: i64 = 1_795_420_800_000;

impl Load {
    /// Returns this many events in sessions of ten, many of which overlap. 30 % swap places with another event of their
    /// session, and 15 % are sent twice or more, immediately or later.
    pub(crate) fn new(prefix: &str, events: usize, random: &mut Random) -> Self {
        let mut load = Self { events: Vec::new(), deliveries: Vec::new(), edges: Edges::new() };
        // The place of an event in the order, in sessions: a session begins at each whole number and takes twenty.
        let mut places: Vec<(f64, usize)> = Vec::new();
        for session in 0..events.div_ceil(EVENTS_PER_SESSION) {
            let mut order: Vec<usize> = (0..EVENTS_PER_SESSION).collect();
            for place in 0..EVENTS_PER_SESSION {
                if random.percent(15) {
                    // Two events swap places, so half as often.
                    order.swap(place, random.below(EVENTS_PER_SESSION));
                }
            }
            let first = load.events.len();
            load.meeting(&format!("{prefix}-{session}"));
            for (number, place) in order.into_iter().enumerate() {
                let place = session as f64 + 2.0 * place as f64 + random.below(1000) as f64 / 1000.0;
                places.push((place, first + number));
                if random.percent(15) {
                    for _ in 0..=random.below(3) {
                        let later = random.below(3) as f64 * random.below(1000) as f64 / 100.0;
                        places.push((place + later, first + number));
                    }
                }
            }
        }
        places.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        load.deliveries = places.into_iter().map(|(_, event)| event).collect();
        load
    }

    fn meeting(&mut self, session: &str) {
        let room = json!({"conference": "math@conference.example.8x8.vc", "isBreakout": false});
        self.push(session, "ROOM_CREATED", 0, &room);
        for person in 0..PEOPLE {
            let participant = format!("p{person}");
            let at = self.push(
                session,
                "PARTICIPANT_JOINED",
                10 + person as i64,
                &json!({"participantId": participant, "name": "Ada"}),
            );
            self.edges.insert((session.to_owned(), participant, "main room".to_owned(), at, true));
        }
        for person in 0..PEOPLE {
            let participant = format!("p{person}");
            let at = self.push(
                session,
                "PARTICIPANT_LEFT",
                1000 + person as i64,
                &json!({"participantId": participant, "name": "Ada", "disconnectReason": "left"}),
            );
            self.edges.insert((session.to_owned(), participant, "main room".to_owned(), at, false));
        }
        self.push(session, "ROOM_DESTROYED", 2000, &room);
    }

    fn push(&mut self, session: &str, event_type: &str, seconds: i64, data: &Value) -> i64 {
        let key = format!("{session}-{event_type}-{seconds}");
        let at = STARTED + 1000 * seconds;
        let body = event(&key, session, event_type, at, data);
        self.events.push(Event { key, body });
        at
    }
}

/// Returns the body of an event.
pub(crate) fn event(key: &str, session: &str, event_type: &str, at: i64, data: &Value) -> String {
    json!({
        "idempotencyKey": key, "eventType": event_type, "sessionId": session, "timestamp": at,
        "fqn": "vpaas-magic-cookie-1/math", "data": data,
    })
    .to_string()
}

/// A participant joins a separate meeting.
pub(crate) fn join(key: &str) -> String {
    event(key, &format!("s-{key}"), "PARTICIPANT_JOINED", STARTED, &json!({"participantId": "p1"}))
}
