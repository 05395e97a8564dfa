//! Tests for implementations of [`EventStore`]: one for every bullet of the `# Behavior` sections of the trait. And for
//! those of [`Dispatcher`](jaas_core::Dispatcher): see [`DispatcherHarness`].
//!
//! Implement [`Harness`] for your store and mount the suite in an integration test:
//!
//! ```
//! use jaas_core::store::MemoryStore;
//! use jaas_testkit::conformance::Harness;
//! use std::sync::Arc;
//!
//! struct Memory(Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl Harness for Memory {
//!     type Store = Arc<MemoryStore>;
//!
//!     async fn start() -> Self {
//!         Self(Arc::new(MemoryStore::new()))
//!     }
//!
//!     fn store(&self) -> Self::Store {
//!         self.0.clone()
//!     }
//! }
//!
//! // A store that forgets when it ends and has no transactions. Leave `volatile` out for one that has both, and
//! // implement `DurableHarness` too.
//! jaas_testkit::store_conformance!(Memory, volatile);
//! # fn main() {}
//! ```
//!
//! The tests pass the time in, and it is not the time of day. A store that uses the time of its database must have a
//! setting to use the passed time.

mod accept;
mod activity;
mod claim;
mod concurrency;
mod dead_letter;
mod dispatcher;
mod lease;
mod migration;
mod of_event;
mod order;
mod quarantine;
mod query;
mod retention;
mod retry;
mod settle;
mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::HandlerResult;
use jaas_core::store::{EventAdmin, EventStore};

pub use self::dispatcher::DispatcherHarness;
#[doc(hidden)]
pub use self::dispatcher::behavior as dispatcher_behavior;

/// A fresh, empty store for one test, and what keeps it alive.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The store under test.
    type Store: EventAdmin + Clone;

    /// Why the store cannot be tested here, such as a missing database. The tests then pass without testing anything,
    /// so report it where it is seen.
    fn skipped() -> Option<String> {
        None
    }

    /// Creates an empty store for one test.
    async fn start() -> Self;

    /// The store.
    fn store(&self) -> Self::Store;
}

/// A store that survives its process and has transactions.
#[async_trait]
pub trait DurableHarness: Harness {
    /// Another store over the same database, opened as after a crash or by another process: the first was not closed.
    async fn reopened(&self) -> Self::Store;

    /// Writes a row of the application in the transaction.
    fn write<'t>(tx: &'t mut <Self::Store as EventStore>::Tx, row: &'static str) -> Written<'t>;

    /// The application's rows that were committed.
    async fn written(&self) -> Vec<String>;
}

/// The future of [`DurableHarness::write`]; it returns [`Handled::Done`](jaas_core::Handled::Done) once the row is
/// written.
pub type Written<'t> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>>;

/// Mounts the suite: a module of tests for each family, named after the bullets of [`EventStore`]. With `volatile`, the
/// tests of durability, transactions and migrations are omitted.
#[macro_export]
macro_rules! store_conformance {
    ($Harness:ty) => {
        type Conformance = $Harness;
        type ConformanceOfTwo = $crate::conformance::TwoStores<$Harness>;
        $crate::conformance_families! { durable }
    };
    ($Harness:ty, volatile) => {
        type Conformance = $Harness;
        type ConformanceOfTwo = $Harness;
        $crate::conformance_families! { volatile }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_families {
    ($kind:ident) => {
        $crate::conformance_family! { $kind accept with Conformance {
            accept_stores_one_row_per_key
            accept_distinguishes_a_duplicate_from_a_conflict
            accept_keeps_the_body_byte_for_byte
            accept_keeps_the_trace_context
            accept_wakes_waiting_workers
            quarantine_keeps_one_row_per_endpoint_and_body
            quarantine_is_never_claimed
            ping_succeeds_while_the_store_is_open
            ping_leaves_nothing_behind
        } durable {
            accept_is_durable_before_it_returns
        }}
        $crate::conformance_family! { $kind claim with Conformance {
            claim_gives_an_event_to_one_caller_only
            claim_raises_the_fence_every_time
            claim_takes_over_an_expired_lease
            claim_runs_events_that_crashed_one_at_a_time
            next_due_names_the_earliest_future_event
            next_due_reports_whether_events_are_held_back
        } durable {}}
        $crate::conformance_family! { $kind settle with Conformance {
            complete_settles_the_event_with_its_last_step
            complete_remembers_which_handlers_are_done
            complete_is_ignored_only_when_every_handler_ignored
            complete_refuses_a_stale_lease
            complete_goes_on_with_the_next_event_of_the_session
            complete_all_settles_what_was_run_ahead
            complete_all_refuses_a_stale_lease
            complete_all_passes_over_what_has_changed_meanwhile
            following_events_are_those_that_would_run_next
            fail_goes_on_only_past_an_event_that_may_be_passed
        } durable {
            run_commits_effects_and_completion_together
            run_rolls_back_when_the_work_fails
            run_refuses_a_stale_lease
            rehearse_rolls_back_the_writes_of_the_work
        }}
        $crate::conformance_family! { $kind lease with Conformance {
            renew_keeps_a_claim_beyond_its_first_lease
            renew_names_the_leases_that_were_lost
            release_makes_the_event_claimable_immediately
            release_counts_an_interruption_not_a_failure
            give_back_leaves_the_event_as_if_it_had_not_been_claimed
        } durable {}}
        $crate::conformance_family! { $kind order with Conformance {
            claim_runs_a_session_one_at_a_time_earliest_first
            claim_lets_a_session_pass_an_event_that_keeps_failing
            claim_waits_out_the_settle_window
        } durable {}}
        $crate::conformance_family! { $kind retry with Conformance {
            fail_counts_and_waits_until_the_given_time
            fail_refuses_a_stale_lease
            attempts_distinguish_failures_crashes_and_interruptions
            replay_runs_a_settled_event_again
            replay_refuses_an_event_that_is_not_settled
            replay_is_audited
            replay_matching_replays_the_settled_events_of_a_page
            replay_matching_refuses_an_empty_query
            replay_quarantined_accepts_what_can_be_parsed_now
            replay_quarantined_is_audited
            replay_quarantined_goes_by_pages
        } durable {}}
        $crate::conformance_family! { $kind dead_letter with Conformance {
            fail_without_another_attempt_is_a_dead_letter
            claim_dead_letters_an_event_that_crashed_too_often
            dead_letters_are_grouped_by_type_and_error
            discard_settles_an_event_and_is_audited
            discard_refuses_an_event_that_runs_or_is_done
            discard_lets_later_events_of_the_session_run
            discard_matching_discards_the_events_of_a_page
            discard_matching_refuses_an_empty_query
        } durable {}}
        $crate::conformance_family! { $kind query with Conformance {
            events_are_listed_in_pages
            events_are_filtered_by_every_field_of_the_query
            events_of_a_key_are_listed_from_every_endpoint
            conflicts_are_listed_in_pages
            quarantined_are_listed_in_pages
            attempts_are_listed_in_pages
            audit_is_listed_in_pages
            event_is_found_by_its_row
            reveal_is_audited
            rehearsal_is_audited
            stats_count_every_state
        } durable {}}
        $crate::conformance_family! { $kind of_event with Conformance {
            queue_of_an_event_shows_what_runs_and_what_is_next
            conflicts_of_an_event_are_listed_in_pages
            audit_of_an_event_is_listed_in_pages
        } durable {}}
        $crate::conformance_family! { $kind activity with Conformance {
            activity_counts_what_happened_between_records
            activity_is_kept_for_two_days
        } durable {}}
        $crate::conformance_family! { $kind retention with Conformance {
            purge_deletes_by_age_and_state
            purge_deletes_beyond_a_count
            purge_keeps_keys_as_long_as_signatures_are_valid
            purge_leaves_what_is_not_settled
            erase_session_removes_bodies_and_keeps_keys
            erase_session_discards_what_waits_and_refuses_while_one_runs
        } durable {}}
        $crate::conformance_family! { $kind migration with Conformance {} durable {
            migration_opens_a_store_as_it_was
            migration_is_safe_for_concurrent_stores
        }}
        $crate::conformance_family! { $kind concurrency with ConformanceOfTwo {
            accept_is_safe_for_concurrent_calls
            activity_is_recorded_once_a_minute
            claim_is_safe_for_concurrent_calls
        } durable {}}
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_family {
    (volatile $family:ident with $Harness:ident { $($name:ident)* } durable { $($durable:ident)* }) => {
        mod $family {$(
            #[test]
            fn $name() {
                if <super::$Harness as $crate::conformance::Harness>::skipped().is_none() {
                    $crate::conformance::block_on(|| $crate::conformance::behavior::$name::<super::$Harness>());
                }
            }
        )*}
    };
    (durable $family:ident with $Harness:ident { $($name:ident)* } durable { $($durable:ident)* }) => {
        $crate::conformance_family! { volatile $family with $Harness { $($name)* $($durable)* } durable {}}
    };
}

#[doc(hidden)]
pub mod behavior {
    pub use super::accept::*;
    pub use super::activity::*;
    pub use super::claim::*;
    pub use super::concurrency::*;
    pub use super::dead_letter::*;
    pub use super::lease::*;
    pub use super::migration::*;
    pub use super::of_event::*;
    pub use super::order::*;
    pub use super::quarantine::*;
    pub use super::query::*;
    pub use super::retention::*;
    pub use super::retry::*;
    pub use super::settle::*;
}

#[doc(hidden)]
#[allow(clippy::expect_used)]
pub fn block_on<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    // One thread, as under `#[actix_web::main]` and `#[tokio::test]`: a store that needs more fails here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test()).await.expect("the test ends within a minute");
    });
}

/// Two stores over one database, as two processes have them; [`store`](Harness::store) returns them in turn.
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct TwoStores<H: DurableHarness> {
    harness: H,
    second: H::Store,
    turn: AtomicBool,
}

#[async_trait]
impl<H: DurableHarness> Harness for TwoStores<H> {
    type Store = H::Store;

    fn skipped() -> Option<String> {
        H::skipped()
    }

    async fn start() -> Self {
        let harness = H::start().await;
        let second = harness.reopened().await;
        Self { harness, second, turn: AtomicBool::new(false) }
    }

    fn store(&self) -> H::Store {
        if self.turn.fetch_xor(true, Ordering::Relaxed) { self.second.clone() } else { self.harness.store() }
    }
}
