//! Test events: a constructor for each event of the table, and a builder to set what matters in a test.
//!
//! ```
//! use jaas_core::event::DisconnectReason;
//! use jaas_core::Timestamp;
//! use jaas_testkit::event;
//! use std::time::Duration;
//!
//! let joined = event::participant_joined().in_room("math").at(Timestamp::from_secs(1_760_000_000)).named("Ada");
//! let left = event::participant_left()
//!     .in_room("math")
//!     .at(Timestamp::from_secs(1_760_000_000))
//!     .later(Duration::from_secs(90))
//!     .with(|left| left.disconnect_reason = Some(DisconnectReason::Kicked))
//!     .set("data.department", "algebra");
//!
//! assert_eq!(joined.payload().participant.name.unwrap().expose(), "Ada");
//! assert_eq!(left.delivery().envelope.timestamp, Some(Timestamp::from_secs(1_760_000_090)));
//! ```
//!
//! # What a builder starts with
//! - The event's [fixture]: every documented field with a plausible value. All fixtures are of one tenant, one sitting of
//!   the room `math`, and mostly of one participant, so the join and the leave above belong together as they are.
//! - The main room, also where the fixture shows a breakout room.
//! - A **fresh key**: keys count up within the process, and no wall clock or randomness is asked. So two processes make
//!   the same keys; give your own with [`key`](EventBuilder::key) when several send to one inbox. A clone keeps its
//!   key and is therefore a second copy of the same delivery; see [`fresh`](EventBuilder::fresh).

mod fields;
mod output;
mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jaas_core::event::{self, EventKind, Payload};
use jaas_core::{AppId, IdempotencyKey, SessionId, Timestamp};
use serde_json::Value;

pub use self::fields::{HasDisconnectReason, HasLink, HasName, HasParticipantId, HasRoom, HasUserId};
use crate::fixture;

macro_rules! constructors {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {$(
        #[doc = $doc]
        #[doc = concat!("\n\n`", $wire, "`, which you can change as [`", stringify!($Event), "`](jaas_core::event::", stringify!($Event), ").")]
        pub fn $method() -> EventBuilder<event::$Event> {
            EventBuilder::from_fixture(EventKind::$Event)
        }
    )*};
}
jaas_core::for_each_event!(constructors);

/// Creates an event of this kind, chosen at run time; for [`EventKind::Unknown`] like [`unknown`].
pub fn of(kind: EventKind) -> EventBuilder {
    EventBuilder::from_fixture(kind)
}

/// Creates an event of a type that no version of this crate need know.
///
/// ```
/// use jaas_core::event::EventKind;
/// use jaas_testkit::event;
///
/// let opened = event::unknown("WHITEBOARD_OPENED").set("data.board", 7);
/// assert_eq!(opened.delivery().envelope.kind, EventKind::Unknown);
/// ```
pub fn unknown(event_type: &str) -> EventBuilder {
    EventBuilder::from_fixture(EventKind::Unknown).set("eventType", event_type)
}

/// Builds one event; see the [module](self). `P` is its payload, or [`Untyped`].
#[must_use]
pub struct EventBuilder<P = Untyped> {
    body: Value,
    endpoint: Arc<str>,
    received_at: Option<Timestamp>,
    payload: PhantomData<fn() -> P>,
}

/// The payload of a builder that does not know its event's type, such as the builder that [`of`] returns.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Untyped;

impl<P> EventBuilder<P> {
    fn from_fixture(kind: EventKind) -> Self {
        static BODIES: LazyLock<BTreeMap<EventKind, Value>> = LazyLock::new(|| {
            let kinds = EventKind::ALL.iter().chain([&EventKind::Unknown]);
            kinds.map(|kind| (*kind, in_main_room(fixture::of(*kind).body))).collect()
        });
        let body = BODIES.get(&kind).cloned().unwrap_or_default();
        let builder = Self { body, endpoint: "main".into(), received_at: None, payload: PhantomData };
        builder.fresh()
    }

    /// Sets the idempotency key.
    pub fn key(self, key: impl Into<IdempotencyKey>) -> Self {
        self.set("idempotencyKey", key.into().into_string())
    }

    /// Sets a key that no other builder of this process has: this makes a clone a different event.
    pub fn fresh(self) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.key(format!("00000000-0000-4000-8000-{number:012x}"))
    }

    /// Sets the time at which it happened.
    pub fn at(self, timestamp: impl Into<Timestamp>) -> Self {
        self.set("timestamp", timestamp.into().as_millis())
    }

    /// Moves its time later by this much.
    pub fn later(self, by: Duration) -> Self {
        let at = self.happened_at().saturating_add(by);
        self.at(at)
    }

    /// Moves it to this room of its tenant: sets `fqn`, and `data.conference` where there is one.
    pub fn in_room(self, room: &str) -> Self {
        let app = self.app_id();
        self.in_meeting(&app, room)
    }

    /// Moves it to this tenant: sets `appId`, `customerId` and `fqn`, and `data.conference` where there is one.
    pub fn of_app(self, app: impl Into<AppId>) -> Self {
        let app = app.into();
        let fqn = self.field("fqn");
        let room = fqn.split_once('/').map_or(&*fqn, |(_, room)| room).to_owned();
        let builder = match app.customer_id() {
            Some(customer) => self.set("customerId", customer),
            None => self,
        };
        builder.set("appId", app.as_str()).in_meeting(app.as_str(), &room)
    }

    /// Moves it to this session.
    pub fn in_session(self, session: impl Into<SessionId>) -> Self {
        self.set("sessionId", session.into().into_string())
    }

    /// Sets the endpoint that receives it. Defaults to `main`.
    pub fn to_endpoint(mut self, endpoint: impl Into<Arc<str>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Sets the time at which it arrives. Defaults to the time at which it happened.
    pub fn received_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.received_at = Some(at.into());
        self
    }

    /// Forgets the payload's type, so that events of several types fit into one list.
    ///
    /// ```
    /// use jaas_testkit::event;
    ///
    /// let meeting = [event::room_created().untyped(), event::participant_joined().untyped()];
    /// # let _ = meeting;
    /// ```
    pub fn untyped(self) -> EventBuilder {
        EventBuilder {
            body: self.body,
            endpoint: self.endpoint,
            received_at: self.received_at,
            payload: PhantomData,
        }
    }

    fn field(&self, name: &str) -> String {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn app_id(&self) -> String {
        let fqn = self.field("fqn");
        fqn.split_once('/').map_or_else(|| self.field("appId"), |(app, _)| app.to_owned())
    }

    fn in_meeting(self, app: &str, room: &str) -> Self {
        let tells_conference = self.body.pointer("/data/conference").is_some();
        let builder = self.set("fqn", format!("{app}/{room}"));
        if tells_conference {
            builder.set("data.conference", format!("{room}@conference.{app}.8x8.vc"))
        } else {
            builder
        }
    }
}

impl<P: Payload> EventBuilder<P> {
    /// Changes any typed field of the payload. Fields that this crate does not know are unchanged.
    ///
    /// ```
    /// use jaas_testkit::event;
    ///
    /// let uploaded = event::recording_uploaded().with(|recording| {
    ///     recording.duration_sec = Some(90);
    ///     recording.pre_authenticated_link = None;
    /// });
    /// assert_eq!(uploaded.json()["data"]["durationSec"], 90);
    /// assert!(uploaded.json()["data"].get("preAuthenticatedLink").is_none());
    /// ```
    ///
    /// # Panics
    /// When `data` was [set](Self::set) to a value that does not decode as the payload.
    pub fn with(mut self, change: impl FnOnce(&mut P)) -> Self {
        let mut payload = self.payload();
        let before = written(&payload);
        change(&mut payload);
        let after = written(&payload);
        match (before, after, &mut self.body["data"]) {
            (Value::Object(before), Value::Object(after), Value::Object(data)) => {
                for name in before.keys().filter(|name| !after.contains_key(*name)) {
                    data.remove(name);
                }
                data.extend(after.into_iter().filter(|(name, value)| before.get(name) != Some(value)));
            }
            (before, after, data) if before != after => *data = after,
            _ => {}
        }
        self
    }
}

fn written<P: Payload>(payload: &P) -> Value {
    serde_json::from_str(&payload.encode()).unwrap_or_default()
}

/// The body of a fixture, moved to the main room.
fn in_main_room(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(data) = body.get_mut("data").and_then(Value::as_object_mut)
        && data.contains_key("isBreakout")
    {
        data.insert("isBreakout".to_owned(), false.into());
        data.remove("breakoutRoomId");
    }
    body
}

impl<P> Clone for EventBuilder<P> {
    fn clone(&self) -> Self {
        Self {
            body: self.body.clone(),
            endpoint: self.endpoint.clone(),
            received_at: self.received_at,
            payload: PhantomData,
        }
    }
}

impl<P> fmt::Debug for EventBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBuilder")
            .field("event_type", &self.field("eventType"))
            .field("key", &self.field("idempotencyKey"))
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
