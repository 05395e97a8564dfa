//! Where accepted events are kept until they are handled, and afterwards.

mod activity;
mod admin;
mod dead_lettered;
mod error;
#[doc(hidden)]
pub mod hand_over;
mod history;
mod life;
mod memory;
mod methods;
mod order;
mod page;
mod queue;
mod record;
mod retention;
mod row;
mod storable;
mod tables;
pub mod tools;
mod unheard;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::activity::Activity;
pub use self::admin::EventAdmin;
pub use self::error::{StoreError, StoreErrorKind};
pub use self::history::{
    Attempt, AttemptOutcome, AttemptQuery, AuditAction, AuditEntry, AuditNote, DeadLetterGroup, DeadLetterKey,
};
pub use self::life::{EventLife, EventStatus};
pub use self::memory::MemoryStore;
pub use self::order::SessionOrder;
pub use self::page::{Page, PageRequest, RowId};
pub use self::queue::{QueueState, RunningEvent};
pub use self::record::{
    Conflict, EventQuery, EventState, QuarantineReplay, Quarantined, StateStats, StoreStats, StoredEvent,
};
pub use self::retention::{Keep, Purged, Retention, RetentionBuilder};
pub use self::work::{
    Accepted, Claim, ClaimRequest, Completion, Failure, Lease, NextClaim, NextDue, Step, TxWork,
};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::timestamp::Timestamp;

/// The inbox: a durable set of events with one row per idempotency key, and the work left to do.
///
/// Implement it to keep events in a database of your choice. `jaas-diesel` has implementations for SQLite, PostgreSQL
/// and MySQL or MariaDB, and [`MemoryStore`] is the reference for the meaning of every method. What stores have in common is in [`tools`].
/// `jaas_testkit::store_conformance!` turns every bullet of the `# Behavior` sections below into a test of your
/// implementation. What operators need to inspect and repair the inbox is a separate trait, [`EventAdmin`].
///
/// # What an implementor owes every caller
/// - **Cancellation**: a caller may drop any returned future at any time. The operation then happens completely or not
///   at all, and nothing leaks (no open transaction, no lost connection). A claim whose caller is gone is given back;
///   otherwise its event would wait for the end of the lease and count a crash.
/// - **Timeouts**: no method waits without bound; a database that does not respond is
///   [`Unavailable`](StoreErrorKind::Unavailable).
/// - **Errors**: [`Unavailable`](StoreErrorKind::Unavailable) for a database that cannot serve the call now, and
///   [`Overloaded`](StoreErrorKind::Overloaded) for too long a queue; the caller may repeat both.
///   [`Closed`](StoreErrorKind::Closed) after the store was closed; [`Corrupt`](StoreErrorKind::Corrupt) for a row that
///   cannot be decoded. Any method may return these. The methods that settle an event may return
///   [`StaleLease`](StoreErrorKind::StaleLease). [`run`](EventStore::run) may also report that the transaction could
///   not be committed: [`Refused`](StoreErrorKind::Refused), [`TransactionEnded`](StoreErrorKind::TransactionEnded).
///   Each method names its other kinds.
/// - **Time** is passed in as `now`. A store that several processes share uses the time of its database instead, for
///   leases and for when an event is due, so that processes whose clocks differ agree.
///
/// # Words
/// *claim*: to take an event for one run; *lease*: how long the claim holds; *fence*: a number that grows with each
/// claim of the event and so distinguishes an old claim from a newer one; *settle*: to record how a run ended
/// ([`complete`](EventStore::complete), [`fail`](EventStore::fail), [`release`](EventStore::release)).
///
/// # Order and cost
/// The events of one session (`sessionId`, compared byte for byte) are one queue, processed one after the other; an
/// event without a session is its own queue. A worker that claims a session gets its first event. When it settles an
/// event it may ask for the next one ([`NextClaim`]), so one claim can process a long session. Finding what to run
/// costs the same, however many events wait and however many are kept.
///
/// # Behavior
/// Of stores that outlive their process:
/// - `migration_opens_a_store_as_it_was`: opening a database again, whether or not others have it open, changes nothing
///   in it, and leases continue.
/// - `migration_is_safe_for_concurrent_stores`: when any number of stores open one database at the same time, none fails.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The transaction in which a handler may write; `()` for stores without one.
    type Tx: Send + 'static;

    /// Takes responsibility for an event.
    ///
    /// # Behavior
    /// - `accept_is_durable_before_it_returns`: `Ok` means the event survives a crash of process and machine.
    /// - `accept_stores_one_row_per_key`: the key is (endpoint, idempotency key), compared byte for byte.
    /// - `accept_is_safe_for_concurrent_calls`: of any number of concurrent calls with one key, to any number of stores on
    ///   the same database, exactly one returns [`New`](Accepted::New).
    /// - `accept_distinguishes_a_duplicate_from_a_conflict`: the same key with the same body is
    ///   [`Duplicate`](Accepted::Duplicate). With another body it is [`Conflict`](Accepted::Conflict): the first body
    ///   stays, and the second is listed in [`conflicts`](EventAdmin::conflicts).
    /// - `accept_keeps_the_body_byte_for_byte`.
    /// - `accept_keeps_the_trace_context`: [`Delivery::trace`] comes back in [`Claim::trace`] and
    ///   [`StoredEvent::trace`], even after the body was erased. A repetition does not replace it.
    /// - `accept_wakes_waiting_workers`: a new event that is not claimed already shows in [`wakeups`](EventStore::wakeups).
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError>;

    /// Keeps authentic bytes whose envelope cannot be parsed.
    ///
    /// # Behavior
    /// - `quarantine_keeps_one_row_per_endpoint_and_body`: repeated bytes only increment a count.
    /// - `quarantine_is_never_claimed`.
    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError>;

    /// Claims up to `request.limit` sessions that have an event to run, the longest due first, and returns that event
    /// of each. A session that is due keeps its due time when more events of it arrive.
    ///
    /// # Behavior
    /// - `claim_gives_an_event_to_one_caller_only`, until its lease ends.
    /// - `claim_raises_the_fence_every_time`: no lease is ever issued twice.
    /// - `claim_runs_a_session_one_at_a_time_earliest_first`: at most one event of a session is claimed: of those
    ///   waiting, the one that happened first ([`Delivery::occurred_at`], then order of acceptance). Session ids are
    ///   compared byte for byte. Events without a session are independent.
    /// - `claim_lets_a_session_pass_an_event_that_keeps_failing`: an event that [may be passed](Failure::passable) does
    ///   not hold back later events of its session during its back-off, and runs again afterwards.
    /// - `claim_waits_out_the_settle_window`: an event received less than
    ///   [`settle_window`](SessionOrder::settle_window) ago is not claimed, and later events of its session wait for
    ///   it.
    /// - `claim_takes_over_an_expired_lease`, and counts a crash, not a failure.
    /// - `claim_runs_events_that_crashed_one_at_a_time`: while one event with a crash is claimed, no other event with a
    ///   crash is, so that events which merely ran beside the culprit do not share its fate.
    /// - `claim_dead_letters_an_event_that_crashed_too_often`: after `request.max_crashes` crashes the event becomes dead,
    ///   with a note that gives the reason, and is not claimed. Once that is committed, the store reports it with
    ///   [`DeadLettered::report`](tools::DeadLettered::report).
    /// - `claim_is_safe_for_concurrent_calls`: of any number of concurrent claims, by any number of stores on the
    ///   same database, no two hold the same event or two events of one session.
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError>;

    /// Private between the worker and `jaas-diesel`'s store for PostgreSQL: not part of the contract, and may change or go in
    /// any release. See [`hand_over`].
    #[doc(hidden)]
    fn hand_over(&self, _: hand_over::HandOver) {}

    /// Extends leases to `lease` from now; returns the leases that are no longer held.
    ///
    /// # Behavior
    /// - `renew_keeps_a_claim_beyond_its_first_lease`, even after the lease expired, as long as no other worker took
    ///   over.
    /// - `renew_names_the_leases_that_were_lost`.
    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Runs `work` in a transaction and, if it succeeds, completes `step` in that same transaction, exactly as
    /// [`complete`](EventStore::complete) would. Returns the result of the work and the next claim.
    ///
    /// # Behavior
    /// - `run_commits_effects_and_completion_together`, together with the claim of the next event.
    /// - `run_rolls_back_when_the_work_fails`: the work's error is the inner result. Nothing is recorded, no next event
    ///   is claimed, and the caller continues with [`fail`](EventStore::fail).
    /// - `run_refuses_a_stale_lease`: the effects are rolled back.
    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError>;

    /// Records that a handler succeeded. With [`last`](Step::last), the event is settled: done, or ignored when no
    /// handler did anything. Then, if [`next`](Step::next) asks for it, the session's next event is claimed.
    ///
    /// # Behavior
    /// - `complete_settles_the_event_with_its_last_step`.
    /// - `complete_remembers_which_handlers_are_done`: a later claim names them in [`Claim::completed`].
    /// - `complete_is_ignored_only_when_every_handler_ignored`.
    /// - `complete_refuses_a_stale_lease`.
    /// - `complete_goes_on_with_the_next_event_of_the_session`: returns the event of this session that
    ///   [`claim`](EventStore::claim) would return, with a new lease; `None` when there is none, and always for an
    ///   event that has crashed before. An event that arrives late but happened earlier goes first.
    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError>;

    /// Records that every handler is done with these events of one session, all in one transaction. Then goes on in the
    /// session as [`complete`](EventStore::complete) would, if the event that `lease` holds is among them. The others
    /// are [listed behind a claim](Claim::following) of the session, and ran after it in that order. It passes over
    /// those that no longer wait, or that were claimed since.
    ///
    /// A worker calls it with several events only when the store lists them; with one event it is the same as
    /// [`complete`](EventStore::complete). The provided method settles them one by one.
    ///
    /// # Behavior
    /// - `complete_all_settles_what_was_run_ahead`: together with the event that is held, or separately.
    /// - `complete_all_refuses_a_stale_lease`: nothing is recorded.
    /// - `complete_all_passes_over_what_has_changed_meanwhile`.
    /// - `following_events_are_those_that_would_run_next`: due, never crashed, not passed, and not behind an event that
    ///   is.
    async fn complete_all(
        &self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        complete_one_by_one(self, lease, completions, next, now).await
    }

    /// Records a failed run: the event waits for `failure.retry_in` or becomes dead. Then, if [`next`](Failure::next)
    /// asks for it, the session's next event is claimed as in [`complete`](EventStore::complete).
    ///
    /// # Behavior
    /// - `fail_counts_and_waits_until_the_given_time`.
    /// - `fail_without_another_attempt_is_a_dead_letter`, listed with its error.
    /// - `fail_refuses_a_stale_lease`.
    /// - `fail_goes_on_only_past_an_event_that_may_be_passed`.
    async fn fail(
        &self,
        lease: Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError>;

    /// Gives back claims whose handlers were interrupted because this worker is stopping. Passes over leases that are
    /// no longer held.
    ///
    /// # Behavior
    /// - `release_makes_the_event_claimable_immediately`.
    /// - `release_counts_an_interruption_not_a_failure`.
    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError>;

    /// Gives back claims that no handler has seen. Passes over leases that are no longer held.
    ///
    /// # Behavior
    /// - `give_back_leaves_the_event_as_if_it_had_not_been_claimed`: it can be claimed immediately and nothing is
    ///   counted; only the fence stays raised.
    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError>;

    /// Returns how long it is until a session becomes due or a lease ends, and whether some are due already: when a
    /// claim is worthwhile. The session may then have nothing to run, because of a settle window that its store did not
    /// know before; that claim corrects it.
    ///
    /// # Behavior
    /// - `next_due_names_the_earliest_future_event`.
    /// - `next_due_reports_whether_events_are_held_back`: after a claim that could return more, whether there is a session
    ///   that waits for something other than time.
    async fn next_due(&self, now: Timestamp) -> Result<NextDue, StoreError>;

    /// Changes whenever there may be new work, so a worker reacts quickly without polling often. It may miss work of
    /// other processes, so workers also poll.
    fn wakeups(&self) -> watch::Receiver<u64>;

    /// Checks whether an event could be accepted now, for readiness checks: does what [`accept`](EventStore::accept)
    /// does with an event that no sender sent, and takes it back. Returns `Err` where `accept` would refuse every
    /// event: the tables are locked or cannot be written, or the store is full.
    ///
    /// # Behavior
    /// - `ping_succeeds_while_the_store_is_open`, for any number of callers at the same time.
    /// - `ping_leaves_nothing_behind`: no event, count or key; no worker is woken, and nothing is due.
    async fn ping(&self) -> Result<(), StoreError>;
}

const _: fn(&dyn EventStore<Tx = ()>) = |_| {};

/// Settles events of a session one by one, each under the claim that settling the previous one returned.
async fn complete_one_by_one<S: EventStore + ?Sized>(
    store: &S,
    lease: Lease,
    completions: &[Completion],
    next: Option<NextClaim>,
    now: Timestamp,
) -> Result<Option<Claim>, StoreError> {
    let mut held = Some(lease);
    let mut claim = None;
    for completion in completions {
        let Some(lease) = held.take_if(|held| held.event == completion.lease.event) else { break };
        for (index, (handler, handled)) in completion.handled.iter().enumerate() {
            let last = index + 1 == completion.handled.len();
            let step = Step { handler: handler.clone(), last, next: next.filter(|_| last) };
            claim = store.complete(lease, &step, handled, now).await?;
        }
        held = claim.as_ref().map(|claim| claim.lease);
    }
    Ok(claim)
}
