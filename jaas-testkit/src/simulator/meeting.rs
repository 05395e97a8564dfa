//! One meeting, action by action.

mod breakout;
mod call;
mod capture;
mod claims;
mod document;
mod emit;
mod end;
mod lobby;
mod moderation;
mod presence;
mod talk;
mod usage;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::event::Reaction;
use jaas_core::meetings::{Mark, Phrase, Rating};
use jaas_core::{AppId, Delivery, SessionId, Timestamp};

pub use self::call::Call;
pub use self::document::Document;
pub use self::lobby::Waiting;
pub use self::presence::Presence;
pub use self::talk::Poll;
use super::dice::Dice;
use super::facts::{Artifact, Facts};
use crate::event::{self, EventBuilder};

/// A meeting that you play: each method is an action, and emits the events that JaaS would send.
///
/// ```
/// use jaas_testkit::simulator::{Meeting, Person};
/// use std::time::Duration;
///
/// let mut meeting = Meeting::new(7).in_room("math");
/// let ada = meeting.join(&Person::named("Ada").moderator());
/// let ben = meeting.join(&Person::named("Ben"));
/// meeting.start_recording(ada);
/// meeting.wait(Duration::from_secs(600));
/// meeting.leave(ben);
/// meeting.end();
///
/// let facts = meeting.facts();
/// assert_eq!(facts.devices.len(), 2);
/// assert!(facts.attended("user-ben") > Duration::from_secs(600));
/// assert!(meeting.deliveries().len() > 8);
/// ```
///
/// # Time
/// Time stops between the actions; each takes some 10 to 400 ms, and [`wait`](Self::wait) advances it. No two events of
/// a meeting have the same `timestamp`. Uploads come later by themselves, some of them after the end.
///
/// # What is simulated, and what is not
/// Keys, ids and small delays come from the seed, so the same seed and actions give the same bytes. Bodies have every
/// documented field; with [`with_odd_shapes`](Self::with_odd_shapes) they vary as they do on the wire. The links lead
/// nowhere.
///
/// # Panics
/// An action panics when it is impossible: only a participant who is present can leave, only moderators promote, and
/// after the end only [`rate`](Self::rate) is possible. Each panic names the rule that was broken.
#[derive(Clone)]
pub struct Meeting {
    dice: Dice,
    app: AppId,
    room: String,
    session: SessionId,
    odd: bool,
    rtcstats: bool,
    now: Timestamp,
    opened_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// At most one per millisecond, so that their order is unambiguous.
    events: BTreeMap<Timestamp, EventBuilder>,
    presences: Vec<presence::Chain>,
    waiting: Vec<lobby::State>,
    breakouts: Vec<breakout::State>,
    calls: Vec<call::State>,
    capture: capture::State,
    polls: Vec<talk::State>,
    documents: Vec<document::State>,
    reactions: Vec<Reacted>,
    chatted: bool,
    billing: usage::State,
    artifacts: Vec<Artifact>,
    ratings: Vec<u8>,
    feedback: Vec<Rating>,
    phrases: Vec<Phrase>,
    marks: Vec<Mark>,
}

/// A breakout room of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Breakout(usize);

/// A reaction for the list at the end.
#[derive(Debug, Clone)]
struct Reacted {
    by: Presence,
    at: Timestamp,
    reaction: Reaction,
}

impl Meeting {
    /// Creates a meeting in the room `math` of the fixtures' tenant, on 23 November 2026 at 8 o'clock UTC. Nothing has
    /// happened yet.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let session = SessionId::new(dice.uuid());
        Self {
            dice,
            app: AppId::new("vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c"),
            room: "math".to_owned(),
            session,
            odd: false,
            rtcstats: false,
            now: Timestamp::from_millis(1_795_420_800_000),
            opened_at: None,
            ended_at: None,
            events: BTreeMap::new(),
            presences: Vec::new(),
            waiting: Vec::new(),
            breakouts: Vec::new(),
            calls: Vec::new(),
            capture: capture::State::default(),
            polls: Vec::new(),
            documents: Vec::new(),
            reactions: Vec::new(),
            chatted: false,
            billing: usage::State::default(),
            artifacts: Vec::new(),
            ratings: Vec::new(),
            feedback: Vec::new(),
            phrases: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Sets the room, named as in the meeting's URL before any percent-encoding. The meeting server writes it in lower
    /// case and percent-encoded; `REACTIONS`, `FEEDBACK` and `RTCSTATS_UPLOADED` keep the case of the URL (seen in the
    /// sender's modules).
    #[must_use]
    pub fn in_room(mut self, room: &str) -> Self {
        self.assert_not_begun();
        self.room = room.to_owned();
        self
    }

    /// Sets the tenant.
    #[must_use]
    pub fn of_app(mut self, app: impl Into<AppId>) -> Self {
        self.assert_not_begun();
        self.app = app.into();
        self
    }

    /// Sets when it begins.
    #[must_use]
    pub fn starting_at(mut self, at: Timestamp) -> Self {
        self.assert_not_begun();
        self.now = at;
        self
    }

    /// Makes bodies vary as they do on the wire: fields absent, `null` or empty, bools as text, empty lists as objects,
    /// keys that are not UUIDs.
    #[must_use]
    pub fn with_odd_shapes(mut self) -> Self {
        self.odd = true;
        self
    }

    /// Sends `RTCSTATS_UPLOADED` for everyone who leaves, as for tenants that have this switched on.
    #[must_use]
    pub fn with_rtcstats(mut self) -> Self {
        self.rtcstats = true;
        self
    }

    /// Advances the time.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// The time in the meeting.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The session.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether [`end`](Self::end) was called.
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// The events so far, and the uploads still to come, earliest first.
    pub fn events(&self) -> Vec<EventBuilder> {
        self.events.values().cloned().collect()
    }

    /// The bodies of the [events](Self::events).
    pub fn bodies(&self) -> Vec<Bytes> {
        self.events.values().map(EventBuilder::body).collect()
    }

    pub(crate) fn timed_bodies(&self) -> impl Iterator<Item = (Timestamp, Bytes)> {
        self.events.iter().map(|(at, event)| (*at, event.body()))
    }

    /// The [events](Self::events) as a receiver makes them of genuine requests, each received when it happened.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.events.values().map(EventBuilder::delivery).collect()
    }

    /// What an application should have learned from the [events](Self::events). It is recorded while the script is
    /// played, never derived from the events.
    pub fn facts(&self) -> Facts {
        Facts {
            session: self.session.clone(),
            app: self.app.clone(),
            room: self.room.clone(),
            opened_at: self.opened_at,
            ended_at: self.ended_at,
            stays: self.presences.iter().flat_map(|chain| chain.stays(self.ended_at)).collect(),
            waits: self.waiting.iter().map(lobby::State::fact).collect(),
            breakouts: self.breakouts.iter().map(breakout::State::fact).collect(),
            calls: self.calls.iter().map(call::State::fact).collect(),
            devices: self.billing.devices().clone(),
            polls: self.polls.iter().map(talk::State::fact).collect(),
            reactions: self.reactions.iter().fold(BTreeMap::new(), |mut counts, reacted| {
                *counts.entry(reacted.reaction.as_str().to_owned()).or_default() += 1;
                counts
            }),
            ratings: self.ratings.clone(),
            feedback: self.feedback.clone(),
            reactions_by_user: self.reactions.iter().fold(BTreeMap::new(), |mut counts, reacted| {
                let by = self.chain(reacted.by).user_id();
                *counts.entry((by, reacted.reaction.as_str().to_owned())).or_default() += 1;
                counts
            }),
            talk: if self.has_ended() { self.talk() } else { Vec::new() },
            phrases: self.phrases.clone(),
            marks: self.marks.clone(),
            artifacts: self.artifacts.clone(),
        }
    }

    fn open(&mut self) {
        assert!(self.ended_at.is_none(), "the meeting has ended: no one can join");
        if self.opened_at.is_none() {
            let created = event::room_created();
            let created = self.in_room_event(created, None);
            self.opened_at = Some(self.emit(created));
        }
    }

    fn assert_not_begun(&self) {
        assert!(self.opened_at.is_none(), "the meeting has begun: set this before anyone joins");
    }

    fn assert_running(&self) {
        assert!(self.opened_at.is_some(), "no one has joined yet: the meeting has not begun");
        assert!(self.ended_at.is_none(), "the meeting has ended");
    }
}

/// The events, line by line: proptest shows them for a meeting with which a test fails.
impl fmt::Debug for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events.iter().map(|(at, event)| {
            let body = event.json();
            format!("{at} {} {}", body["eventType"].as_str().unwrap_or_default(), body["data"])
        });
        f.debug_struct("Meeting")
            .field("session", &self.session)
            .field("events", &events.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
