//! The task that records successful runs in groups.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `complete` and `dialect` are the backend's modules of these names.

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::Timestamp;
use jaas_core::store::{Claim, StoreError};

use super::super::complete;
use super::super::dialect::{self, Connection};
use super::Shared;
use super::connecting::limited;
use crate::error::unavailable;
use crate::group::Commit;
use crate::now::Now;
use crate::rows::Success;

impl Shared {
    /// Records a success with the next group; returns the claim of the session's next event.
    pub(in super::super) async fn record_success(
        &self,
        success: Success,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.limited(Completing::OPERATION, self.completions.submit((success, now))).await?
    }
}

/// Records successful runs in groups.
pub(super) struct Completing {
    pub(super) pool: Pool<Connection>,
    pub(super) timeout: Duration,
    pub(super) callers_time: bool,
}

impl Commit for Completing {
    type Connection = Connection;
    type Request = (Success, Timestamp);
    type Item = (Success, Timestamp);
    type Outcome = Result<Option<Claim>, StoreError>;

    const OPERATION: &'static str = "complete the event";

    async fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = limited(&self.pool, self.timeout).await?;
        let prepared = complete::prepare(&mut connection).await;
        prepared.map_err(|error| unavailable("connect to the database", error))?;
        Ok(connection)
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        successes: &mut [(Success, Timestamp)],
        _: bool,
    ) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
        let given = successes.iter().map(|(_, now)| *now).max();
        let now = match given.filter(|_| self.callers_time) {
            Some(given) => Now::given(given),
            None => Now::of_the_database(),
        };
        let successes: Vec<&Success> = successes.iter().map(|(success, _)| success).collect();
        complete::complete_all(connection, &successes, now).await
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}
