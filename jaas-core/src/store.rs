//! Where accepted events are kept until they are handled, and after.

mod error;
mod memory;
mod record;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::error::{StoreError, StoreErrorKind};
pub use self::memory::MemoryStore;
pub use self::record::{
    Conflict, EventQuery, EventState, Page, PageRequest, Quarantined, RowId, StoreStats, StoredEvent,
};
use crate::Timestamp;
use crate::delivery::{Body, Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};

/// The inbox: a durable set of events with one row per idempotency key, and the work that is left to do.
///
/// Implement it to keep events in a database of your choice; `jaas-diesel` has one for SQLite, and
/// [`MemoryStore`] is the reference for what every method means. `jaas_testkit::store_conformance!`
/// turns every bullet of the `# Behavior` sections below into a test of your implementation.
///
/// # What an implementor owes every caller
/// - **Cancellation**: a caller may drop any returned future at any time. What was asked for then happens
///   wholly or not at all, and nothing leaks (no open transaction, no lost connection).
/// - **Deadlines**: no method waits without bound; a database that does not answer is
///   [`Unavailable`](StoreErrorKind::Unavailable).
/// - **Time** is passed in; the store reads no clock of its own for what it records.
///
/// # Words
/// *claim*: to take an event for one run; *lease*: how long the claim holds; *fence*: a number that grows with
/// each claim of the event, so an old claim can be told from a newer one; *settle*: to record how a run ended
/// ([`complete`](EventStore::complete), [`fail`](EventStore::fail), [`release`](EventStore::release)).
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The transaction a handler may write in; `()` for stores without one.
    type Tx: Send + 'static;

    /// Takes responsibility for an event.
    ///
    /// # Behavior
    /// - `accept_is_durable_before_it_answers`: `Ok` means the event survives a crash of process and machine.
    /// - `accept_stores_one_row_per_key`: the key is (endpoint, idempotency key), compared byte for byte; of any
    ///   number of concurrent calls exactly one answers [`New`](Accepted::New).
    /// - `accept_tells_a_duplicate_from_a_conflict`: the same key with the same body is
    ///   [`Duplicate`](Accepted::Duplicate); with another body it is [`Conflict`](Accepted::Conflict), the first
    ///   body stays, and the second is listed in [`conflicts`](EventStore::conflicts).
    /// - `accept_keeps_the_body_byte_for_byte`.
    /// - `accept_wakes_those_who_wait`: a new event shows in [`wakeups`](EventStore::wakeups).
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError>;

    /// Keeps authentic bytes that have no readable envelope.
    ///
    /// # Behavior
    /// - `quarantine_keeps_one_row_per_endpoint_and_body`: repeated bytes only count up.
    /// - `quarantine_is_never_claimed`.
    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError>;

    /// Takes up to `request.limit` events for one run each.
    ///
    /// # Behavior
    /// - `claim_gives_an_event_to_one_caller_only`, until its lease ends.
    /// - `claim_raises_the_fence_every_time`.
    /// - `claim_runs_a_session_one_at_a_time_earliest_first`: of one session at most one event is claimed, and
    ///   it is the one that happened first ([`Delivery::occurred_at`], then order of acceptance) among those
    ///   waiting. Events without a session are independent.
    /// - `claim_lets_a_session_pass_an_event_that_keeps_failing`: an event that has failed
    /// [`hold_failures`](SessionOrder::hold_failures) times no longer holds back later ones of its session.
    /// - `claim_waits_out_the_settle_window`: an event received less than
    ///   [`settle_window`](SessionOrder::settle_window) ago is not claimed.
    /// - `claim_takes_over_when_a_lease_ran_out`, counting a crash, not a failure.
    /// - `claim_runs_events_that_crashed_one_at_a_time`: while one event with a crash is claimed, no other one with a
    ///   crash is, so that what was merely running beside the culprit does not share its fate.
    /// - `claim_buries_an_event_that_crashed_too_often`: after `request.max_crashes` crashes the event becomes
    ///   dead with a note that says so, and is not claimed.
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError>;

    /// Extends leases to `until`; answers those that are no longer held.
    ///
    /// # Behavior
    /// - `renew_keeps_a_claim_beyond_its_first_lease`.
    /// - `renew_names_the_leases_that_were_lost`.
    async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError>;

    /// Runs `work` in a transaction and, if it succeeds, completes `step` in that same transaction, exactly as
    /// [`complete`](EventStore::complete) would.
    ///
    /// # Behavior
    /// - `run_commits_effects_and_completion_together`.
    /// - `run_rolls_back_when_the_work_fails`: the work's error is the inner result; nothing is recorded, and
    ///   the caller follows with [`fail`](EventStore::fail).
    /// - `run_refuses_a_stale_lease`: effects are rolled back.
    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError>;

    /// Records that a handler has run well. With [`last`](Step::last), the event is settled: done, or ignored
    /// when no handler did anything.
    ///
    /// # Behavior
    /// - `complete_settles_the_event_with_its_last_step`.
    /// - `complete_remembers_which_handlers_are_done`: a later claim names them in [`Claim::completed`].
    /// - `complete_is_ignored_only_when_every_handler_ignored`.
    /// - `complete_refuses_a_stale_lease`.
    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Records a failed run: the event waits until `failure.next` or becomes dead.
    ///
    /// # Behavior
    /// - `fail_counts_and_waits_until_the_given_time`.
    /// - `fail_without_another_attempt_is_a_dead_letter`, listed with its error.
    /// - `fail_refuses_a_stale_lease`.
    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError>;

    /// Gives claims back unfinished, because this worker is stopping. Leases no longer held are passed over.
    ///
    /// # Behavior
    /// - `release_makes_the_event_claimable_at_once`.
    /// - `release_counts_an_interruption_not_a_failure`.
    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError>;

    /// The earliest time after `now` at which a waiting event becomes due or a lease ends.
    ///
    /// # Behavior
    /// - `next_due_names_the_earliest_future_event`.
    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<Option<Timestamp>, StoreError>;

    /// Changes whenever there may be new work, so a worker need not poll to be quick. It may miss work of other
    /// processes; workers poll as well.
    fn wakeups(&self) -> watch::Receiver<u64>;

    /// Asks the database for a sign of life, for readiness checks.
    ///
    /// # Behavior
    /// - `ping_answers_while_the_store_is_open`.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Lists events, oldest row first.
    ///
    /// # Behavior
    /// - `events_are_listed_in_pages`: following [`Page::next`] shows each event once.
    /// - `events_are_filtered_by_every_field_of_the_query`.
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError>;

    /// Lists deliveries that came with a key already taken and another body, oldest first.
    ///
    /// # Behavior
    /// - `conflicts_are_listed_in_pages`: one row per key and body; repeats only count up.
    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError>;

    /// Lists what is in quarantine, oldest first.
    ///
    /// # Behavior
    /// - `quarantined_are_listed_in_pages`.
    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError>;

    /// Makes a settled event wait again, as if new, with its counts at zero. Handlers of a dead event that had
    /// already succeeded are not run again; those of a done event are.
    ///
    /// # Behavior
    /// - `replay_runs_a_dead_or_ignored_event_again`.
    /// - `replay_refuses_an_event_that_is_not_settled`: [`NotSettled`](StoreErrorKind::NotSettled), and
    ///   [`NotFound`](StoreErrorKind::NotFound) for one that does not exist.
    async fn replay(&self, event: RowId, now: Timestamp) -> Result<(), StoreError>;

    /// Counts per state.
    ///
    /// # Behavior
    /// - `stats_count_every_state`.
    async fn stats(&self) -> Result<StoreStats, StoreError>;
}

/// Forwards every method, so a store can be shared.
#[async_trait]
impl<S: EventStore + ?Sized> EventStore for Arc<S> {
    type Tx = S::Tx;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        (**self).accept(delivery).await
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        (**self).quarantine(unreadable).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        (**self).claim(request).await
    }

    async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        (**self).renew(leases, until).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError> {
        (**self).run(lease, step, now, work).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        (**self).complete(lease, step, handled, now).await
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        (**self).fail(lease, failure, now).await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        (**self).release(leases, now).await
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<Option<Timestamp>, StoreError> {
        (**self).next_due(now, order).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        (**self).wakeups()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        (**self).ping().await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        (**self).events(query).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        (**self).conflicts(page).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        (**self).quarantined(page).await
    }

    async fn replay(&self, event: RowId, now: Timestamp) -> Result<(), StoreError> {
        (**self).replay(event, now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        (**self).stats().await
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// Stored now.
    New,
    /// Stored before, with the same body.
    Duplicate,
    /// Another body was stored before under the same key; that one stays, this one is listed as a conflict.
    Conflict,
}

/// Work to be done inside a transaction. It owns what it needs, because a store may hand it to the task that
/// owns the connection.
pub type TxWork<Tx> =
    Box<dyn for<'t> FnOnce(&'t mut Tx) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>> + Send>;

/// What a worker asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The time now.
    pub now: Timestamp,
    /// How many events at most.
    pub limit: usize,
    /// How long the claims hold unless renewed.
    pub lease: Duration,
    /// Who claims; recorded for people who look.
    pub worker: Arc<str>,
    /// How sessions are ordered.
    pub order: SessionOrder,
    /// After how many crashes an event becomes dead.
    pub max_crashes: u32,
}

impl ClaimRequest {
    /// A request with a lease of 15 s, the default order, and 2 crashes.
    pub fn new(worker: impl Into<Arc<str>>, now: Timestamp, limit: usize) -> Self {
        Self {
            now,
            limit,
            lease: Duration::from_secs(15),
            worker: worker.into(),
            order: SessionOrder::default(),
            max_crashes: 2,
        }
    }
}

/// How events of one session follow each other. Events of different sessions run in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOrder {
    /// How long an event waits after it was received, so that earlier ones still on their way can overtake it.
    /// Defaults to zero.
    pub settle_window: Duration,
    /// How often an event may fail before later events of its session no longer wait for it. Defaults to 3,
    /// which with the default back-off is 3 to 6 s.
    pub hold_failures: u32,
}

impl Default for SessionOrder {
    fn default() -> Self {
        Self { settle_window: Duration::ZERO, hold_failures: 3 }
    }
}

/// The right to run one event and settle it: which event, and which claim of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The event's row.
    pub event: RowId,
    /// Which claim of the event, growing with each.
    pub fence: i64,
}

/// A claimed event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The right to settle it.
    pub lease: Lease,
    /// The endpoint it came to.
    pub endpoint: Arc<str>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its body as it came.
    pub body: Body,
    /// How often a handler failed.
    pub failures: u32,
    /// How often a lease ran out.
    pub crashes: u32,
    /// How often a stopping worker gave it back.
    pub interruptions: u32,
    /// The handlers that are done with it.
    pub completed: Vec<String>,
}

impl Claim {
    /// A claim of an event that was never run before, for a store to fill in what has happened since.
    pub fn new(lease: Lease, endpoint: Arc<str>, received_at: Timestamp, body: impl Into<Body>) -> Self {
        Self {
            lease,
            endpoint,
            received_at,
            body: body.into(),
            failures: 0,
            crashes: 0,
            interruptions: 0,
            completed: Vec::new(),
        }
    }

    /// Which run of the handler this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.failures.saturating_add(self.crashes).saturating_add(self.interruptions).saturating_add(1)
    }
}

/// One handler's part in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The handler's name.
    pub handler: Arc<str>,
    /// Whether every other handler is done, so that this one settles the event.
    pub last: bool,
}

/// A failed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, for people.
    pub error: String,
    /// When to run again; `None` makes the event a dead letter.
    pub next: Option<Timestamp>,
}

const _: fn(&dyn EventStore<Tx = ()>) = |_| {};

/// What a store notes on an event that it buries for its crashes.
pub fn crash_note(crashes: u32) -> String {
    format!("given up: {crashes} times the process ended, or its lease ran out, while a handler was running")
}

pub(crate) fn not_found(event: RowId) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, format!("there is no event {event}"))
}

pub(crate) fn not_settled(event: RowId, state: EventState) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotSettled,
        format!("event {event} is {state}, and only done, ignored and dead events can be replayed"),
    )
}
