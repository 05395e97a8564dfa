//! The implementation of [`EventStore`]: accepting events and running them.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`. `Connection` is the backend's
//! public type alias, which transactional handlers get. `queries` is the backend's module, and `asked!` runs a query of
//! it on a connection of the backend.
//!
//! A call that is more than one query is a method of the backend's `Shared` (in `shared/server` and `sqlite/calls.rs`):
//! `store_event`, `keep_unreadable`, `claim_events`, `record_success`, `in_transaction`, `offer`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, Completion, EventStore, Failure, Lease, NextClaim, NextDue, Step,
    StoreError, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp, Unreadable};
use tokio::sync::watch;

use super::queries::{claim, ping, settle};
use super::{Connection, Store, asked};
use crate::ending::Ending;
use crate::rows::{NewQuarantined, Success};

#[async_trait]
impl EventStore for Store {
    type Tx = Connection;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        self.shared.store_event(delivery).await
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.shared.keep_unreadable(NewQuarantined::from(unreadable)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.shared.claim_events(request.clone()).await
    }

    fn hand_over(&self, to: HandOver) {
        self.shared.offer(to);
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let (leases, now) = (Arc::<[Lease]>::from(leases), self.shared.now(now));
        asked!(write, self, "renew leases", [leases] connection => claim::renew(connection, &leases, now, lease))
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Connection>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError> {
        self.shared.in_transaction(Ending::Complete(lease, step.clone(), self.shared.now(now)), work).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.shared.record_success(Success::new(lease, step, handled), now).await
    }

    async fn complete_all(
        &self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.shared.record_success(Success::of_all(lease, completions, next), now).await
    }

    async fn fail(
        &self,
        lease: Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let now = self.shared.now(now);
        asked!(
            write, self, "record the failure",
            [failure] connection => settle::fail(connection, lease, &failure, now)
        )?
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let (leases, now) = (Arc::<[Lease]>::from(leases), self.shared.now(now));
        asked!(wake, self, "release events", [leases] connection => settle::release(connection, &leases, now))
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let (leases, now) = (Arc::<[Lease]>::from(leases), self.shared.now(now));
        asked!(wake, self, "give events back", [leases] connection => settle::give_back(connection, &leases, now))
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue, StoreError> {
        let now = self.shared.now(now);
        asked!(read, self, "find the next event", [] connection => claim::next_due(connection, now))
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.shared.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        asked!(write, self, "reach the database", [] connection => ping::ping(connection))
    }
}

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Store>();
};
