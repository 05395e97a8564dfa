//! The statements on artifacts, and [`ArtifactStore`] for the store.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`; `Connection` is
//! `SqliteConnection`, which blocks, `AsyncPgConnection` or `AsyncMysqlConnection`; `Tx` is what transactional handlers
//! get; `asked!` runs a query on a connection of the backend. The modules below have the statements.
//!
//! An artifact that can be claimed is in phase 0; one that waits or whose lease has ended is moved there by the claim
//! after it became due. So both "what is due" and "the earliest deadline of what is due" are ranges of an index,
//! however much waits.

mod asking;
mod claiming;
mod settling;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult,
};
use jaas_core::archive::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactLease, ArtifactQuery, ArtifactRecord, ArtifactStats,
    ArtifactStore, Kept, NewArtifact, Postponed, Settling,
};
use jaas_core::meetings::{TimePage, TimePageRequest};
use jaas_core::store::{Page, StoreError, StoreErrorKind, TxWork};
use jaas_core::{Delivery, HandlerError, HandlerResult, Timestamp};

use self::asking::{list, next, open, stats};
use self::claiming::{at_risk, claim, claims_of, renew};
use self::settling::{keep, postpone, release, settle};
use super::dialect::{Connection, RunQueryDsl as _, within};
use super::{Connection as Tx, Store, asked};
use crate::artifacts::NewRow;
use crate::ending::Ending;
use crate::error::unavailable;
use crate::now::Now;
use crate::rows::{indexed, page_of, text};
use crate::schema::jaas_artifacts::dsl;
use crate::schema::{jaas_artifacts, jaas_events};

const ADD: &str = "write down the files of an event";
const SETTLE: &str = "settle the artifact";

#[async_trait]
impl ArtifactStore for Store {
    async fn add_artifacts(
        &self,
        tx: &mut Tx,
        event: &Delivery,
        artifacts: &[NewArtifact],
    ) -> Result<usize, StoreError> {
        let key = (indexed(text(&event.endpoint)), text(event.envelope.idempotency_key.as_str()));
        let (event, artifacts) = (event.clone(), artifacts.to_vec());
        let added = within!(tx, connection => add(connection, key, &event, &artifacts));
        let added = added.map_err(|error| unavailable(ADD, error))?;
        added.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, "the event is not in the store"))
    }

    async fn claim_artifacts(
        &self,
        request: &ArtifactClaimRequest,
    ) -> Result<Vec<ArtifactClaim>, StoreError> {
        let now = self.shared.now(request.now);
        let claimed =
            asked!(write, self, "claim artifacts", [request] connection => claim(connection, &request, now))?;
        claims_of(claimed)
    }

    async fn renew_artifacts(
        &self,
        leases: &[ArtifactLease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<ArtifactLease>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let (leases, now) = (Arc::<[ArtifactLease]>::from(leases), self.shared.now(now));
        asked!(
            write, self, "renew the leases of artifacts",
            [leases] connection => renew(connection, &leases, now, lease)
        )
    }

    async fn keep_artifact(&self, lease: ArtifactLease, kept: &Kept) -> Result<(), StoreError> {
        asked!(
            write, self, "record that a file is kept",
            [kept] connection => keep(connection, lease, &kept)
        )?
    }

    async fn settle_artifact(
        &self,
        settling: &Settling,
        now: Timestamp,
        work: TxWork<Tx>,
    ) -> Result<HandlerResult, StoreError> {
        let now = self.shared.now(now);
        let settling = settling.clone();
        let refused = Arc::new(Mutex::new(None));
        let why = refused.clone();
        let settled: TxWork<Tx> = Box::new(move |tx| {
            Box::pin(async move {
                let error = match within!(tx, connection => settle(connection, &settling, now)) {
                    Ok(Ok(())) => return work(tx).await,
                    Ok(Err(refused)) => refused,
                    Err(error) => unavailable(SETTLE, error),
                };
                if let Ok(mut why) = why.lock() {
                    *why = Some(error);
                }
                Err(HandlerError::retry("the artifact is not settled"))
            })
        });
        let (result, _) = self.shared.in_transaction(Ending::Commit, settled).await?;
        let refused = refused.lock().ok().and_then(|mut refused| refused.take());
        match refused {
            Some(error) => Err(error),
            None => Ok(result),
        }
    }

    async fn postpone_artifact(&self, lease: ArtifactLease, postponed: &Postponed) -> Result<(), StoreError> {
        asked!(
            write, self, "postpone an artifact",
            [postponed] connection => postpone(connection, lease, &postponed)
        )?
    }

    async fn release_artifacts(&self, leases: &[ArtifactLease], now: Timestamp) -> Result<(), StoreError> {
        let (leases, now) = (Arc::<[ArtifactLease]>::from(leases), self.shared.now(now));
        asked!(
            write, self, "give artifacts back",
            [leases] connection => release(connection, &leases, now)
        )
    }

    async fn artifacts_at_risk(&self, now: Timestamp, limit: u32) -> Result<Vec<ArtifactClaim>, StoreError> {
        let now = self.shared.now(now);
        let found =
            asked!(read, self, "find artifacts at risk", [] connection => at_risk(connection, now, limit))?;
        claims_of(found)
    }

    async fn next_artifact(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let now = self.shared.now(now);
        asked!(read, self, "find the next artifact", [] connection => next(connection, now))
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError> {
        let page = query.page;
        let rows = asked!(read, self, "list artifacts", [query] connection => list(connection, &query))?;
        page_of(rows, page, |record: &ArtifactRecord| record.id)
    }

    async fn open_artifacts(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError> {
        let limit = page.clamped_limit();
        let rows =
            asked!(read, self, "list artifacts by deadline", [page] connection => open(connection, &page))?;
        let mut open = rows.into_iter().map(ArtifactRecord::try_from).collect::<Result<Vec<_>, _>>()?;
        open.sort_unstable_by_key(|record| (record.deadline, record.id));
        // One that changes its phase between the queries is found twice.
        open.dedup_by_key(|record| record.id);
        Ok(TimePage::from_items(open, limit, ArtifactRecord::deadline_cursor))
    }

    async fn artifact_stats(&self) -> Result<ArtifactStats, StoreError> {
        asked!(read, self, "count artifacts", [] connection => stats(connection))
    }
}

/// Writes the artifacts of an event that are not there; returns how many, or `None` when the event is not there.
async fn add(
    connection: &mut Connection,
    (endpoint, key): (String, String),
    event: &Delivery,
    artifacts: &[NewArtifact],
) -> QueryResult<Option<usize>> {
    let id = jaas_events::table
        .filter(jaas_events::endpoint.eq(endpoint).and(jaas_events::idempotency_key.eq(key)))
        .select(jaas_events::id);
    let id: Option<i64> = id.get_result(connection).await.optional()?;
    let Some(id) = id else { return Ok(None) };
    let known: Vec<String> =
        dsl::jaas_artifacts.filter(dsl::event_id.eq(id)).select(dsl::slot).load(connection).await?;
    let rows: Vec<NewRow> = artifacts
        .iter()
        .map(|new| NewRow::new(id, event.envelope.session_id.as_ref(), event.received_at.as_millis(), new))
        .filter(|row| !known.contains(&row.slot))
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(jaas_artifacts::table).values(&rows).execute(connection).await?;
    }
    Ok(Some(rows.len()))
}

async fn time(connection: &mut Connection, now: Now) -> QueryResult<i64> {
    diesel::select(now).get_result(connection).await
}
