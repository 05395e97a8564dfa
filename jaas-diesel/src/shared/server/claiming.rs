//! The task that claims events.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `dialect` and `queries` are the backend's modules of these names.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::store::tools::DeadLettered;
use jaas_core::store::{Claim, ClaimRequest, Lease, StoreError};
use tokio::sync::watch;

use super::super::dialect::{self, Connection};
use super::super::queries::claim::{self, Front};
use super::super::queries::settle;
use super::connecting::limited;
use super::{Shared, TRIES, before_retry, give_back_at, wake};
use crate::group::Commit;
use crate::now::Now;

impl Shared {
    pub(in super::super) async fn claim_events(
        &self,
        request: ClaimRequest,
    ) -> Result<Vec<Claim>, StoreError> {
        self.limited(Claiming::OPERATION, self.claims.submit(request)).await
    }
}

/// Claims events.
pub(super) struct Claiming {
    pub(super) pool: Pool<Connection>,
    pub(super) timeout: Duration,
    pub(super) callers_time: bool,
    pub(super) wakeups: Arc<watch::Sender<u64>>,
    /// Where the next claim begins.
    pub(super) front: Front,
}

impl Commit for Claiming {
    type Connection = Connection;
    type Request = ClaimRequest;
    type Item = ClaimRequest;
    type Outcome = Vec<Claim>;

    const OPERATION: &'static str = "claim events";

    // One at a time, so that the outcome of a claim does not depend on the next claim.
    const MAX_ITEMS: usize = 1;

    async fn connect(&self) -> Result<Connection, StoreError> {
        limited(&self.pool, self.timeout).await
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        requests: &mut [ClaimRequest],
        _: bool,
    ) -> QueryResult<Vec<Vec<Claim>>> {
        let mut claims = Vec::with_capacity(requests.len());
        for request in requests {
            let now = if self.callers_time { Now::given(request.now) } else { Now::of_the_database() };
            let mut tries = 1;
            let mut dead_letters = Vec::new();
            let claimed = loop {
                match claim::claim(connection, request, now, &mut self.front, &mut dead_letters).await {
                    Err(error) if dialect::can_be_tried_again(&error) && tries < TRIES => {
                        before_retry(tries).await;
                        tries += 1;
                    }
                    result => break result?,
                }
            };
            // If the outcome of the commit is unknown, they are not logged; the table has them.
            dead_letters.iter().for_each(DeadLettered::report);
            claims.push(claimed);
        }
        Ok(claims)
    }

    async fn abandoned(&mut self, connection: &mut Connection, claims: Vec<Vec<Claim>>) -> QueryResult<()> {
        // Nothing would renew claims whose caller no longer waits for them.
        let leases: Vec<Lease> = claims.iter().flatten().map(|claim| claim.lease).collect();
        settle::give_back(connection, &leases, give_back_at(self.callers_time)).await?;
        wake(&self.wakeups);
        Ok(())
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}
