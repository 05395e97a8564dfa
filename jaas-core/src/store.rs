//! Where accepted events are kept until they are handled, and after.

mod burial;
mod error;
mod hand_over;
mod history;
mod memory;
mod record;
mod retention;
mod work;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::burial::Burial;
pub use self::error::{StoreError, StoreErrorKind};
pub use self::hand_over::{HandOver, HandedOver, Slot};
pub use self::history::{
    Attempt, AttemptOutcome, AttemptQuery, AuditAction, AuditEntry, AuditNote, DeadLetterGroup,
};
pub use self::memory::MemoryStore;
pub use self::record::{
    Conflict, EventQuery, EventState, Page, PageRequest, Quarantined, RowId, StateStats, StoreStats,
    StoredEvent,
};
pub use self::retention::{Keep, Purged, Retention, RetentionBuilder};
pub use self::work::{Accepted, Claim, ClaimRequest, Failure, Lease, NextDue, SessionOrder, Step, TxWork};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::{SessionId, Timestamp};

/// The inbox: a durable set of events with one row per idempotency key, and the work that is left to do.
///
/// Implement it to keep events in a database of your choice; `jaas-diesel` has those for SQLite, PostgreSQL and MySQL or
/// MariaDB, and [`MemoryStore`] is the reference for what every method means. `jaas_testkit::store_conformance!`
/// turns every bullet of the `# Behavior` sections below into a test of your implementation.
///
/// # What an implementor owes every caller
/// - **Cancellation**: a caller may drop any returned future at any time. What was asked for then happens
///   wholly or not at all, and nothing leaks (no open transaction, no lost connection).
/// - **Deadlines**: no method waits without bound; a database that does not answer is
///   [`Unavailable`](StoreErrorKind::Unavailable).
/// - **Errors**: [`Unavailable`](StoreErrorKind::Unavailable) for a database that cannot do it now, and
///   [`Overloaded`](StoreErrorKind::Overloaded) for too long a queue, after which the same call may be made again;
///   [`Closed`](StoreErrorKind::Closed) after the store was closed; [`Corrupt`](StoreErrorKind::Corrupt) for a row that
///   cannot be read. Any method may answer these. Whoever settles an event may be told
///   [`StaleLease`](StoreErrorKind::StaleLease), and [`run`](EventStore::run) also that the transaction could not be
///   committed: [`Refused`](StoreErrorKind::Refused), [`TransactionEnded`](StoreErrorKind::TransactionEnded). Other kinds
///   stand at their methods.
/// - **Time** is passed in as `now`. A store that several processes share takes its database's time instead for
///   leases and for when an event is due, so that processes whose clocks differ agree.
///
/// # Words
/// *claim*: to take an event for one run; *lease*: how long the claim holds; *fence*: a number that grows with
/// each claim of the event, so an old claim can be told from a newer one; *settle*: to record how a run ended
/// ([`complete`](EventStore::complete), [`fail`](EventStore::fail), [`release`](EventStore::release)).
///
/// # Behavior
/// Of stores that outlive their process:
/// - `migration_opens_a_store_as_it_was`: opening a database again, while others have it open or not, changes
///   nothing in it, and leases go on.
/// - `migration_is_safe_for_several_at_once`: of any number of stores that open one database at the same time,
///   none fails.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The transaction a handler may write in; `()` for stores without one.
    type Tx: Send + 'static;

    /// Takes responsibility for an event.
    ///
    /// # Behavior
    /// - `accept_is_durable_before_it_answers`: `Ok` means the event survives a crash of process and machine.
    /// - `accept_stores_one_row_per_key`: the key is (endpoint, idempotency key), compared byte for byte.
    /// - `accept_is_safe_for_many_at_once`: of any number of concurrent calls with one key, to any number of stores
    ///   on the same database, exactly one answers [`New`](Accepted::New).
    /// - `accept_tells_a_duplicate_from_a_conflict`: the same key with the same body is
    ///   [`Duplicate`](Accepted::Duplicate); with another body it is [`Conflict`](Accepted::Conflict), the first
    ///   body stays, and the second is listed in [`conflicts`](EventStore::conflicts).
    /// - `accept_keeps_the_body_byte_for_byte`.
    /// - `accept_keeps_the_trace_context`: [`Delivery::trace`] comes back in [`Claim::trace`] and
    ///   [`StoredEvent::trace`], also after the body was erased. Of a repetition the first one stays.
    /// - `accept_wakes_those_who_wait`: a new event that was not handed over shows in
    ///   [`wakeups`](EventStore::wakeups).
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
    ///   waiting. Session ids are compared byte for byte. Events without a session are independent.
    /// - `claim_lets_a_session_pass_an_event_that_keeps_failing`: while it waits out its back-off, an event that has
    ///   failed [`hold_failures`](SessionOrder::hold_failures) times does not hold back later ones of its session.
    /// - `claim_waits_out_the_settle_window`: an event received less than
    ///   [`settle_window`](SessionOrder::settle_window) ago is not claimed, and later ones of its session wait for it.
    /// - `claim_takes_over_when_a_lease_ran_out`, counting a crash, not a failure.
    /// - `claim_runs_events_that_crashed_one_at_a_time`: while one event with a crash is claimed, no other one with a
    ///   crash is, so that what was merely running beside the culprit does not share its fate.
    /// - `claim_buries_an_event_that_crashed_too_often`: after `request.max_crashes` crashes the event becomes
    ///   dead with a note that says so, and is not claimed. Once that is committed, the store reports it with
    ///   [`Burial::report`].
    /// - `claim_is_safe_for_many_at_once`: of any number of concurrent claims, by any number of stores on the
    ///   same database, no two hold the same event or two events of one session.
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError>;

    /// Lets the store give events straight to a worker of this process as it accepts them, already claimed, which
    /// saves the worker the claim. Only while [`HandOver::slot`] gives room, and only events that
    /// [`claim`](EventStore::claim) would give out at once.
    ///
    /// A store may do nothing here; the worker claims as well.
    ///
    /// # Behavior
    /// - `hand_over_gives_each_event_to_one_side`: an event is either handed over, with a lease as of a claim, or
    ///   left to be claimed, and not both. What is not new is not handed over, and its slot is free again.
    /// - `hand_over_keeps_the_order_of_a_session`: while an event of a session waits or runs, the next one is not
    ///   handed over.
    fn hand_over(&self, to: HandOver);

    /// Extends leases to `lease` from now; answers those that are no longer held.
    ///
    /// # Behavior
    /// - `renew_keeps_a_claim_beyond_its_first_lease`, also when that ran out and nobody has taken over.
    /// - `renew_names_the_leases_that_were_lost`.
    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

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

    /// Records a failed run: the event waits for `failure.retry_in` or becomes dead.
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

    /// How long it is until a waiting event becomes due or a lease ends, and whether events that are due already
    /// wait for others.
    ///
    /// # Behavior
    /// - `next_due_names_the_earliest_future_event`.
    /// - `next_due_tells_when_events_are_held_back`: when the settle window and the back-off of a waiting event are
    ///   over.
    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError>;

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

    /// Lists the attempts that did not succeed, oldest first. An attempt that did is told by its event.
    ///
    /// # Behavior
    /// - `attempts_tell_failures_crashes_and_interruptions_apart`.
    /// - `attempts_are_listed_in_pages`, and filtered by every field of the query.
    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError>;

    /// Groups dead letters by event type and error, the most frequent first; at most
    /// [`DeadLetterGroup::MAX_GROUPS`].
    ///
    /// # Behavior
    /// - `dead_letters_are_grouped_by_type_and_error`, both compared byte for byte.
    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError>;

    /// Makes a settled event wait again, as if new, with its counts at zero. Handlers of a dead or discarded event
    /// that had already succeeded are not run again; those of a done event are.
    ///
    /// # Behavior
    /// - `replay_runs_a_settled_event_again`, and wakes those who wait.
    /// - `replay_refuses_an_event_that_is_not_settled`: [`NotSettled`](StoreErrorKind::NotSettled),
    ///   [`NotFound`](StoreErrorKind::NotFound) for one that does not exist, and
    ///   [`Erased`](StoreErrorKind::Erased) for one without its body.
    /// - `replay_is_audited`.
    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;

    /// Replays every settled event of one page of this query; the others of the page, and those without a body, are
    /// passed over. Answers the
    /// replayed rows, and where the next page starts.
    ///
    /// # Behavior
    /// - `replay_matching_replays_the_settled_events_of_a_page`.
    /// - `replay_matching_refuses_an_empty_query`: [`EmptyQuery`](StoreErrorKind::EmptyQuery).
    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError>;

    /// Gives up an event that waits, is ignored or is dead: it is not run again unless it is replayed.
    ///
    /// # Behavior
    /// - `discard_settles_an_event_and_is_audited`: its note is the reason. Those who wait are woken, because it may
    ///   have held back others of its session.
    /// - `discard_refuses_an_event_that_runs_or_is_done`, or was discarded before:
    ///   [`NotDiscardable`](StoreErrorKind::NotDiscardable), and [`NotFound`](StoreErrorKind::NotFound) for one that
    ///   does not exist.
    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;

    /// Lists what people did to events, oldest first. Entries stay when their events are purged.
    ///
    /// # Behavior
    /// - `audit_is_listed_in_pages`.
    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError>;

    /// Deletes what `retention` does not keep, at most `limit` rows of each kind, and with an event its attempts
    /// and conflicts.
    ///
    /// # Behavior
    /// - `purge_deletes_by_age_and_state`, in batches.
    /// - `purge_deletes_beyond_a_count`: of each state those that were settled first, of conflicts and quarantine
    ///   those that were last received longest ago.
    /// - `purge_keeps_keys_as_long_as_signatures_are_valid`: see [`Retention::builder`].
    /// - `purge_leaves_what_is_not_settled`.
    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError>;

    /// Erases what the events of a session hold: bodies, those of their conflicts, notes and error texts, and the
    /// `tracestate` of their traces. Their keys stay, so a late repetition is still a duplicate, or the same conflict, and its body does not come back.
    /// Asked again, it erases what has come since. Events that wait are discarded by it. Answers how many
    /// events were erased now. While one of them runs nothing is erased, and the answer is
    /// [`NotSettled`](StoreErrorKind::NotSettled): try again later.
    ///
    /// # Behavior
    /// - `erase_session_removes_bodies_and_keeps_keys`, and is audited.
    /// - `erase_session_discards_what_waits_and_refuses_while_one_runs`.
    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Counts and ages per state. The age is that of the event received first.
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

    fn hand_over(&self, to: HandOver) {
        (**self).hand_over(to);
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        (**self).renew(leases, now, lease).await
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

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError> {
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

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        (**self).attempts(query).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        (**self).dead_letters().await
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        (**self).replay(event, audit, now).await
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        (**self).replay_matching(query, audit, now).await
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        (**self).discard(event, audit, now).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        (**self).audit(page).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        (**self).purge(retention, now, limit).await
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        (**self).erase_session(session, audit, now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        (**self).stats().await
    }
}

const _: fn(&dyn EventStore<Tx = ()>) = |_| {};

/// What a store notes on an event that it buries for its crashes.
pub fn crash_note(crashes: u32) -> String {
    format!("given up: {crashes} times the process ended, or its lease ran out, while a handler was running")
}
