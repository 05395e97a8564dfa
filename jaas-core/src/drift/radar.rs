//! Looking at a sample of the events on their way to a handler.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::fixture::fixture;
use super::found::{Drift, drifts};
use super::store::DriftSighting;
use crate::delivery::Delivery;
use crate::event::{Event, EventKind};
use crate::handler::{Context, EventHandler, HandlerResult};

/// How many events of each type are looked at before sampling begins.
const FIRST: u64 = 64;

/// How many different things are held. A sender that means harm, or a claim whose name differs for each user, must
/// not fill the memory.
const MOST: usize = 1000;

/// Looks at events for what this version does not know.
///
/// It looks at the first 64 events of each type after the start of the process, and then at one in 256 of that type.
/// What is in one event in a thousand is found sooner or later; what came once may be missed, except an unknown event
/// type. A clone is the same radar.
///
/// It holds at most 1000 different things, and passes over more.
#[derive(Clone)]
#[must_use]
pub struct Radar {
    every: u64,
    known: BTreeSet<String>,
    shared: Arc<Shared>,
}

struct Shared {
    /// How many events of each kind came.
    events: [AtomicU64; EventKind::MANY],
    /// The count of a sighting is what was not taken yet.
    found: Mutex<HashMap<Drift, DriftSighting>>,
}

impl Radar {
    /// Creates a radar that has seen nothing.
    pub fn new() -> Self {
        let events = std::array::from_fn(|_| AtomicU64::new(0));
        let shared = Arc::new(Shared { events, found: Mutex::default() });
        Self { every: 256, known: BTreeSet::new(), shared }
    }

    /// How many events of a type come for each one that is looked at; 1 looks at every event, 0 counts as 1. Defaults
    /// to 256, which costs about a hundredth of decoding.
    pub fn one_in(mut self, events: u32) -> Self {
        self.every = u64::from(events.max(1));
        self
    }

    /// Fields that are not news, by their names, in the `data` of any event: claims of your own JWTs. Defaults to none.
    pub fn knows(mut self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.known.extend(fields.into_iter().map(|field| format!("data.{}", field.as_ref())));
        self
    }

    /// Wraps a handler, so that this radar sees what the handler gets. It does not change what the handler does. One
    /// handler is enough: every handler gets every event.
    pub fn watch<H>(&self, handler: H) -> Watched<H> {
        Watched { radar: self.clone(), handler }
    }

    /// Looks at an event, or passes over it because of the sample.
    pub fn observe(&self, delivery: &Delivery) {
        let kind = delivery.envelope.kind;
        let Some(events) = self.shared.events.get(kind as usize) else { return };
        let before = events.fetch_add(1, Ordering::Relaxed);
        // Unknown types are few, and each may be another one.
        if kind == EventKind::Unknown || before < FIRST || before.is_multiple_of(self.every) {
            self.look(delivery);
        }
    }

    fn look(&self, delivery: &Delivery) {
        let seen = delivery.received_at;
        for drift in drifts(delivery) {
            if self.known.contains(&drift.field) {
                continue;
            }
            let mut found = self.shared.found.lock();
            if let Some(sighting) = found.get_mut(&drift) {
                if sighting.count == 0 {
                    sighting.first_seen = seen;
                }
                sighting.count += 1;
                sighting.last_seen = sighting.last_seen.max(seen);
            } else if found.len() < MOST {
                let key = delivery.envelope.idempotency_key.clone();
                let mut sighting = DriftSighting::new(drift.clone(), seen, delivery.endpoint.clone(), key);
                sighting.fixture = fixture(delivery);
                found.insert(drift, sighting);
            }
        }
    }

    /// Takes what was seen since the last time. What was taken is counted from zero again, and keeps its example.
    pub fn take(&self) -> Vec<DriftSighting> {
        let mut found = self.shared.found.lock();
        let mut taken = Vec::new();
        for sighting in found.values_mut().filter(|sighting| sighting.count > 0) {
            taken.push(sighting.clone());
            sighting.count = 0;
        }
        taken.sort_by(|one, other| (one.first_seen, &one.drift).cmp(&(other.first_seen, &other.drift)));
        taken
    }

    /// Puts back what was taken and could not be recorded.
    pub(super) fn put_back(&self, taken: Vec<DriftSighting>) {
        let mut found = self.shared.found.lock();
        for taken in taken {
            if let Some(sighting) = found.get_mut(&taken.drift) {
                sighting.first_seen = taken.first_seen;
                sighting.last_seen = sighting.last_seen.max(taken.last_seen);
                sighting.count += taken.count;
            }
        }
    }
}

impl Default for Radar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Radar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Radar")
            .field("one_in", &self.every)
            .field("knows", &self.known)
            .finish_non_exhaustive()
    }
}

/// A handler that a [`Radar`] watches.
#[derive(Debug, Clone)]
pub struct Watched<H> {
    radar: Radar,
    handler: H,
}

#[async_trait]
impl<Tx: Send, H: EventHandler<Tx>> EventHandler<Tx> for Watched<H> {
    async fn any_event(&self, cx: &mut Context<'_, Tx>, event: &Event) -> HandlerResult {
        // A retry shows nothing new.
        if cx.attempt() == 1 {
            self.radar.observe(cx.delivery());
        }
        self.handler.any_event(cx, event).await
    }
}
