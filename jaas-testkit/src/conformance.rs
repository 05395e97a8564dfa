//! Tests for implementations of [`EventStore`]: one for every bullet of the `# Behavior` sections of the trait.
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
//! ```

mod accepting;
mod claiming;
mod looking;
mod settling;
mod transactions;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, EventQuery, EventState, EventStore, Failure, Lease, RowId, Step,
    StoredEvent,
};
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp};
use serde_json::json;

/// A fresh, empty store for one test, and what keeps it alive.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The store under test.
    type Store: EventStore + Clone;

    /// Makes an empty store of its own.
    async fn start() -> Self;

    /// The store.
    fn store(&self) -> Self::Store;
}

/// A store that survives its process and has transactions.
#[async_trait]
pub trait DurableHarness: Harness {
    /// Another store over the same database, opened as after a crash: the first was not closed.
    async fn reopened(&self) -> Self::Store;

    /// Writes a row of the application's in the transaction.
    fn write<'t>(tx: &'t mut <Self::Store as EventStore>::Tx, row: &'static str) -> Written<'t>;

    /// The application's rows that were committed.
    async fn written(&self) -> Vec<String>;
}

/// The future of [`DurableHarness::write`]; it answers [`Handled::Done`] once the row is written.
pub type Written<'t> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>>;

/// Mounts the suite: a module of tests named after the bullets of [`EventStore`]. With `volatile`, the tests of
/// durability and transactions are left out.
#[macro_export]
macro_rules! store_conformance {
    ($Harness:ty) => {
        $crate::store_conformance!($Harness, volatile);
        $crate::conformance_tests! { $Harness;
            accept_is_durable_before_it_answers
            run_commits_effects_and_completion_together
            run_rolls_back_when_the_work_fails
            run_refuses_a_stale_lease
        }
    };
    ($Harness:ty, volatile) => {
        $crate::conformance_tests! { $Harness;
            accept_stores_one_row_per_key
            accept_tells_a_duplicate_from_a_conflict
            accept_keeps_the_body_byte_for_byte
            accept_wakes_those_who_wait
            quarantine_keeps_one_row_per_endpoint_and_body
            quarantine_is_never_claimed
            claim_gives_an_event_to_one_caller_only
            claim_raises_the_fence_every_time
            claim_runs_a_session_one_at_a_time_earliest_first
            claim_lets_a_session_pass_an_event_that_keeps_failing
            claim_waits_out_the_settle_window
            claim_takes_over_when_a_lease_ran_out
            claim_runs_events_that_crashed_one_at_a_time
            claim_buries_an_event_that_crashed_too_often
            renew_keeps_a_claim_beyond_its_first_lease
            renew_names_the_leases_that_were_lost
            next_due_names_the_earliest_future_event
            complete_settles_the_event_with_its_last_step
            complete_remembers_which_handlers_are_done
            complete_is_ignored_only_when_every_handler_ignored
            complete_refuses_a_stale_lease
            fail_counts_and_waits_until_the_given_time
            fail_without_another_attempt_is_a_dead_letter
            fail_refuses_a_stale_lease
            release_makes_the_event_claimable_at_once
            release_counts_an_interruption_not_a_failure
            replay_runs_a_dead_or_ignored_event_again
            replay_refuses_an_event_that_is_not_settled
            ping_answers_while_the_store_is_open
            events_are_listed_in_pages
            events_are_filtered_by_every_field_of_the_query
            conflicts_are_listed_in_pages
            quarantined_are_listed_in_pages
            stats_count_every_state
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($Harness:ty; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::block_on(|| $crate::conformance::behavior::$name::<$Harness>());
        }
    )*};
}

#[doc(hidden)]
pub mod behavior {
    pub use super::accepting::*;
    pub use super::claiming::*;
    pub use super::looking::*;
    pub use super::settling::*;
    pub use super::transactions::*;
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

/// When every test starts.
const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

/// A time this many milliseconds after the start.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

/// An event of a session, which happened and was received this many milliseconds after the start.
fn event(key: &str, session: Option<&str>, millis: i64) -> Delivery {
    let body = json!({
        "idempotencyKey": key,
        "eventType": "PARTICIPANT_JOINED",
        "sessionId": session,
        "timestamp": at(millis).as_millis(),
        "fqn": "vpaas-magic-cookie-1/math",
        "data": {"id": key},
    });
    delivery(body.to_string(), at(millis))
}

#[allow(clippy::expect_used)]
fn delivery(body: String, received_at: Timestamp) -> Delivery {
    Delivery::read("main", received_at, body.into()).expect("a readable envelope")
}

fn lone(key: &str) -> Delivery {
    event(key, None, 0)
}

fn request(millis: i64, limit: usize) -> ClaimRequest {
    ClaimRequest::new("conformance", at(millis), limit)
}

fn step(handler: &str, last: bool) -> Step {
    Step { handler: handler.into(), last }
}

fn retry(error: &str, millis: i64) -> Failure {
    Failure { error: error.to_owned(), next: Some(at(millis)) }
}

/// What the tests do with a store in a line.
#[async_trait]
trait Shorthand: EventStore {
    async fn stored(&self, delivery: Delivery);
    async fn claimed(&self, millis: i64) -> Vec<Claim>;
    async fn claimed_one(&self, millis: i64) -> Claim;
    async fn claimed_keys(&self, millis: i64) -> Vec<String>;
    async fn done(&self, lease: Lease);
    async fn all(&self) -> Vec<StoredEvent>;
    async fn only(&self) -> StoredEvent;
}

#[async_trait]
#[allow(clippy::expect_used)]
impl<S: EventStore> Shorthand for S {
    async fn stored(&self, delivery: Delivery) {
        assert_eq!(self.accept(delivery).await.expect("accepted"), Accepted::New);
    }

    async fn claimed(&self, millis: i64) -> Vec<Claim> {
        self.claim(&request(millis, 100)).await.expect("claimed")
    }

    async fn claimed_one(&self, millis: i64) -> Claim {
        let mut claims = self.claimed(millis).await;
        assert_eq!(claims.len(), 1, "one event is claimable");
        claims.remove(0)
    }

    async fn claimed_keys(&self, millis: i64) -> Vec<String> {
        let mut keys: Vec<String> = self.claimed(millis).await.iter().map(key_of).collect();
        keys.sort();
        keys
    }

    async fn done(&self, lease: Lease) {
        self.complete(lease, &step("h", true), &Handled::Done, at(1)).await.expect("completed");
    }

    async fn all(&self) -> Vec<StoredEvent> {
        self.events(&EventQuery::default()).await.expect("listed").items
    }

    async fn only(&self) -> StoredEvent {
        let mut events = self.all().await;
        assert_eq!(events.len(), 1, "one event is stored");
        events.remove(0)
    }
}

#[allow(clippy::expect_used)]
fn key_of(claim: &Claim) -> String {
    let delivery = Delivery::read(claim.endpoint.clone(), claim.received_at, claim.body.to_vec().into())
        .expect("a readable envelope");
    delivery.envelope.idempotency_key.into_string()
}
