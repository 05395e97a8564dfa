//! The task that stores events in groups, and the call that stores bodies in quarantine.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `dialect` and `queries` are the backend's modules of these names.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::prelude::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::Delivery;
use jaas_core::store::hand_over::{HandOver, Slot};
use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::store::{Accepted, StoreError};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::super::dialect::{self, Connection};
use super::super::queries::{accept, settle};
use super::connecting::limited;
use super::pooled::Work;
use super::{Shared, give_back_at, wake};
use crate::error::{closed, refused, unavailable};
use crate::group::Commit;
use crate::rows::{Claimant, NewEvent, NewQuarantined, Phase};
use crate::schema::jaas_queues;

/// More bytes than the columns of an event have besides its body.
const COLUMNS: usize = 4 * 1024;

impl Shared {
    /// Stores an event with the next group.
    pub(in super::super) async fn store_event(&self, event: Delivery) -> Result<Accepted, StoreError> {
        const OPERATION: &str = Accepting::OPERATION;
        if event.endpoint.len() > MAX_INDEXED_BYTES {
            // No receiver has such a name. MySQL would truncate it without an error.
            let why = format!(
                "its endpoint's name has more than {MAX_INDEXED_BYTES} bytes; give the endpoint a shorter name"
            );
            return Err(refused(OPERATION, why));
        }
        let outcome = self.accepts.try_submit(event)?;
        self.limited(OPERATION, async { outcome.await.unwrap_or_else(|_| Err(closed(OPERATION))) }).await
    }

    /// Stores a body in quarantine, as durably as an event: its sender gets a 2xx, too.
    pub(in super::super) async fn keep_unreadable(
        self: &Arc<Self>,
        body: NewQuarantined,
    ) -> Result<(), StoreError> {
        let body = Arc::new(body);
        let work: Work<()> = Box::new(move |connection| {
            let body = body.clone();
            Box::pin(async move {
                dialect::prepare(connection).await?;
                accept::quarantine(connection, &body).await
            })
        });
        self.on_connection("quarantine the body", work).await
    }
}

/// Stores events in groups.
pub(super) struct Accepting {
    pub(super) pool: Pool<Connection>,
    pub(super) timeout: Duration,
    pub(super) callers_time: bool,
    /// Notified when an event was accepted that other processes may run.
    pub(super) accepted: Arc<Notify>,
    pub(super) hand_overs: Arc<Mutex<Vec<HandOver>>>,
    pub(super) wakeups: Arc<watch::Sender<u64>>,
}

impl Accepting {
    /// A number for the claims of one group. Later claims of an event count on from it.
    fn first_fence(&self) -> i64 {
        let random = RandomState::new().hash_one(Arc::as_ptr(&self.hand_overs) as usize);
        // Far from the fences that claims count to, and with as much room again above.
        i64::try_from(random >> 3).unwrap_or(1) + (1 << 32)
    }

    /// Room for up to this many events in workers of this process.
    fn slots(&self, events: usize) -> Vec<(Slot, Claimant)> {
        let mut hand_overs = self.hand_overs.lock();
        hand_overs.retain(|hand_over| !hand_over.is_closed());
        let fence = self.first_fence();
        let slots = hand_overs.iter().flat_map(|hand_over| {
            let claimant = Claimant { worker: hand_over.worker().clone(), lease: hand_over.lease(), fence };
            std::iter::from_fn(|| hand_over.slot()).map(move |slot| (slot, claimant.clone()))
        });
        slots.take(events).collect()
    }
}

impl Commit for Accepting {
    type Connection = Connection;
    type Request = Delivery;
    type Item = NewEvent;
    type Outcome = Accepted;

    const OPERATION: &'static str = "store the event";

    fn bytes(event: &Delivery) -> usize {
        event.body().len() + COLUMNS
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = limited(&self.pool, self.timeout).await?;
        let planned = dialect::plan_for_groups(&mut connection).await;
        planned.map_err(|error| unavailable("connect to the database", error))?;
        Ok(connection)
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        events: &mut [NewEvent],
        again: bool,
    ) -> QueryResult<Vec<Accepted>> {
        if again {
            // No worker has got the claims that the lost commit may have given.
            let events: Vec<&NewEvent> = events.iter().filter(|event| event.claimant.is_some()).collect();
            unclaim_new(connection, &events).await?;
        }
        let slots = if again || !dialect::HANDS_OVER { Vec::new() } else { self.slots(events.len()) };
        let mut slots = slots.into_iter();
        let mut taken: Vec<Option<Slot>> = Vec::with_capacity(events.len());
        for event in events.iter_mut() {
            let (slot, claimant) = slots.next().unzip();
            event.claimant = claimant;
            taken.push(slot);
        }
        let events: Vec<&NewEvent> = events.iter().collect();
        let outcomes = accept::accept(connection, &events, self.callers_time).await?;
        // No worker was woken for what an earlier try may have stored.
        let mut wakes = again;
        let mut unclaimed = Vec::new();
        let mut accepted = Vec::with_capacity(outcomes.len());
        for (((outcome, lease), event), slot) in outcomes.into_iter().zip(events).zip(taken) {
            match (lease, slot) {
                (Some(lease), Some(slot)) => {
                    if slot.give(event.claim(lease)).is_err() {
                        unclaimed.push(lease);
                    }
                }
                (Some(lease), None) => unclaimed.push(lease),
                (None, _) => wakes |= outcome == Accepted::New,
            }
            accepted.push(outcome);
        }
        if !unclaimed.is_empty() {
            // The worker is gone. Were this to fail, the events would run when their leases end.
            let _ = settle::give_back(connection, &unclaimed, give_back_at(self.callers_time)).await;
            wakes = true;
        }
        if wakes {
            self.accepted.notify_one();
            wake(&self.wakeups);
        }
        Ok(accepted)
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}

/// Makes events wait that were claimed with their insert, when no worker has got that claim.
async fn unclaim_new(connection: &mut Connection, events: &[&NewEvent]) -> QueryResult<()> {
    use jaas_queues::dsl;
    for event in events {
        let Some(claimant) = &event.claimant else { continue };
        let claimed = dsl::jaas_queues.find(&event.ordering_key).filter(dsl::fence.eq(claimant.fence));
        let waits = (
            dsl::event_id.eq(None::<i64>),
            dsl::fence.eq(0),
            dsl::worker.eq(None::<String>),
            dsl::phase.eq(Phase::Waiting as i16),
            dsl::due_at.eq(event.due_at),
        );
        diesel::update(claimed).set(waits).execute(connection).await?;
    }
    Ok(())
}
