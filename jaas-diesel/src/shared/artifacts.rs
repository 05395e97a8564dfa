//! The statements on artifacts, and [`ArtifactStore`] for the store.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`; `Connection` is `SqliteConnection`,
//! which blocks, `AsyncPgConnection` or `AsyncMysqlConnection`; `Tx` is what transactional handlers get; `asked!` runs a query
//! on a connection of the backend.
//!
//! An artifact that can be claimed is in phase 0; one that waits or whose lease has ended is moved there by the claim after it
//! became due. So both "what is due" and "the earliest deadline of what is due" are ranges of an index, however much waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use diesel::dsl::{count_star, min};
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult,
    SelectableHelper as _,
};
use jaas_core::archive::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactLease, ArtifactQuery, ArtifactRecord, ArtifactState,
    ArtifactStats, ArtifactStore, Kept, NewArtifact, Postponed, Settling,
};
use jaas_core::store::{Page, StoreError, StoreErrorKind, TxWork};
use jaas_core::{Delivery, HandlerError, HandlerResult, Timestamp};

use super::dialect::{Connection, RunQueryDsl as _, atomically, locked, locked_unless_taken, within};
use super::queries::{after, one_more};
use super::{Connection as Tx, Store, asked};
use crate::artifacts::{EventOfArtifact, NewRow, Row, phase};
use crate::ending::Ending;
use crate::error::unavailable;
use crate::now::Now;
use crate::rows::{indexed, page_of, since, text};
use crate::schema::jaas_artifacts::dsl;
use crate::schema::{jaas_artifacts, jaas_events};

/// How many artifacts become claimable with one claim, at most.
const MAX_DUE: i64 = 1000;

/// How much of an archiver's name is kept.
const MAX_WORKER_CHARS: usize = 255;

const ADD: &str = "write down the files of an event";
const SETTLE: &str = "settle the artifact";

async fn time(connection: &mut Connection, now: Now) -> QueryResult<i64> {
    diesel::select(now).get_result(connection).await
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

/// Lets what is due be claimed.
async fn make_ready(connection: &mut Connection, now: i64) -> QueryResult<()> {
    for from in [phase::WAITS, phase::RUNS] {
        let due = dsl::jaas_artifacts
            .filter(dsl::phase.eq(from).and(dsl::due_at.le(now)))
            .order((dsl::phase, dsl::due_at))
            .limit(MAX_DUE)
            .select(dsl::id);
        let due: Vec<i64> = locked_unless_taken!(due).load(connection).await?;
        if !due.is_empty() {
            diesel::update(dsl::jaas_artifacts.filter(dsl::id.eq_any(due)))
                .set(dsl::phase.eq(phase::READY))
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

type Claimed = (Vec<Row>, Vec<EventOfArtifact>);

async fn claim(
    connection: &mut Connection,
    request: &ArtifactClaimRequest,
    now: Now,
) -> QueryResult<Claimed> {
    atomically!(connection, {
        let now = time(connection, now).await?;
        make_ready(connection, now).await?;
        let limit = |places: usize| i64::try_from(places).unwrap_or(i64::MAX);
        let live = dsl::jaas_artifacts
            .filter(dsl::phase.eq(phase::READY).and(dsl::deadline.gt(now)))
            .order((dsl::phase, dsl::deadline, dsl::id))
            .limit(limit(request.limit))
            .select(dsl::id);
        let mut ids: Vec<i64> = locked_unless_taken!(live).load(connection).await?;
        let expired = dsl::jaas_artifacts
            .filter(dsl::phase.eq(phase::READY).and(dsl::deadline.le(now)))
            .order((dsl::phase, dsl::deadline, dsl::id))
            .limit(limit(request.expired))
            .select(dsl::id);
        let expired: Vec<i64> = locked_unless_taken!(expired).load(connection).await?;
        ids.extend(expired);
        if ids.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let worker: String = text(&request.worker).chars().take(MAX_WORKER_CHARS).collect();
        let until = Timestamp::from_millis(now).saturating_add(request.lease).as_millis();
        diesel::update(dsl::jaas_artifacts.filter(dsl::id.eq_any(&ids)))
            .set((
                dsl::phase.eq(phase::RUNS),
                dsl::fence.eq(dsl::fence + 1),
                dsl::due_at.eq(until),
                dsl::worker.eq(worker),
            ))
            .execute(connection)
            .await?;
        of(connection, ids).await
    })
}

/// These artifacts, and their events.
async fn of(connection: &mut Connection, ids: Vec<i64>) -> QueryResult<Claimed> {
    let rows: Vec<Row> = dsl::jaas_artifacts
        .filter(dsl::id.eq_any(ids))
        .order((dsl::deadline, dsl::id))
        .select(Row::as_select())
        .load(connection)
        .await?;
    let events: Vec<i64> = rows.iter().map(|row| row.event_id).collect();
    let events = jaas_events::table
        .filter(jaas_events::id.eq_any(events))
        .select(EventOfArtifact::as_select())
        .load(connection)
        .await?;
    Ok((rows, events))
}

fn claims_of((rows, events): Claimed) -> Result<Vec<ArtifactClaim>, StoreError> {
    let events: HashMap<i64, EventOfArtifact> = events.into_iter().map(|event| (event.id, event)).collect();
    rows.into_iter().filter_map(|row| events.get(&row.event_id).map(|event| row.claim(event))).collect()
}

/// Extends leases; returns those that are not held.
async fn renew(
    connection: &mut Connection,
    leases: &[ArtifactLease],
    now: Now,
    lease: Duration,
) -> QueryResult<Vec<ArtifactLease>> {
    let ids: Vec<i64> = leases.iter().map(|lease| lease.artifact.get()).collect();
    atomically!(connection, {
        let now = time(connection, now).await?;
        let until = Timestamp::from_millis(now).saturating_add(lease).as_millis();
        let rows = dsl::jaas_artifacts.filter(dsl::id.eq_any(&ids)).select((dsl::id, dsl::fence, dsl::phase));
        let rows: Vec<(i64, i64, i16)> = rows.load(connection).await?;
        // A lease that ran out is held until another claim takes it.
        let is_held = |lease: &&ArtifactLease| {
            rows.iter().any(|(id, fence, at)| {
                (*id, *fence) == (lease.artifact.get(), lease.fence)
                    && (*at == phase::RUNS || *at == phase::READY)
            })
        };
        for lease in leases.iter().filter(is_held) {
            let id = dsl::jaas_artifacts
                .filter(dsl::id.eq(lease.artifact.get()).and(dsl::fence.eq(lease.fence)))
                .select(dsl::id);
            // One that is locked is being settled, or was just taken over, which the next renewal finds out.
            let id: Option<i64> = locked_unless_taken!(id).get_result(connection).await.optional()?;
            if let Some(id) = id {
                diesel::update(dsl::jaas_artifacts.filter(dsl::id.eq(id)))
                    .set((dsl::phase.eq(phase::RUNS), dsl::due_at.eq(until)))
                    .execute(connection)
                    .await?;
            }
        }
        Ok(leases.iter().filter(|lease| !is_held(lease)).copied().collect())
    })
}

/// Locks an artifact that is held; the error when it is not.
async fn held(
    connection: &mut Connection,
    operation: &str,
    lease: ArtifactLease,
) -> QueryResult<Result<(), StoreError>> {
    let row = dsl::jaas_artifacts.filter(dsl::id.eq(lease.artifact.get())).select((
        dsl::fence,
        dsl::phase,
        dsl::outcome,
    ));
    let row: Option<(i64, i16, Option<String>)> = locked!(row).get_result(connection).await.optional()?;
    Ok(match row {
        Some((fence, phase::RUNS | phase::READY, _)) if fence == lease.fence => Ok(()),
        Some((_, _, Some(outcome))) if outcome == ArtifactState::Ended.as_str() => {
            Err(StoreError::artifact_erased(lease.artifact))
        }
        _ => Err(StoreError::stale_artifact(operation, lease.artifact)),
    })
}

async fn keep(
    connection: &mut Connection,
    lease: ArtifactLease,
    kept: &Kept,
) -> QueryResult<Result<(), StoreError>> {
    atomically!(connection, {
        let held = held(connection, "record that the file is kept", lease).await?;
        if held.is_ok() {
            diesel::update(dsl::jaas_artifacts.filter(dsl::id.eq(lease.artifact.get())))
                .set((
                    dsl::object.eq(&kept.object),
                    dsl::bytes.eq(i64::try_from(kept.bytes).unwrap_or(i64::MAX)),
                    dsl::sha256.eq(kept.sha256.to_vec()),
                    dsl::risk_at.eq(None::<i64>),
                    dsl::error.eq(None::<String>),
                ))
                .execute(connection)
                .await?;
        }
        Ok(held)
    })
}

/// Records what became of an artifact, in the transaction of a handler.
async fn settle(
    connection: &mut Connection,
    settling: &Settling,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    let artifact = settling.artifact();
    let row = || dsl::jaas_artifacts.filter(dsl::id.eq(artifact.get()));
    let (lease, state) = match settling {
        Settling::Stored(lease) => (lease, ArtifactState::Stored),
        Settling::Lost { lease, .. } => (lease, ArtifactState::Lost),
        Settling::AtRisk(_) => {
            let told = diesel::update(row().filter(dsl::risk_at.is_not_null()))
                .set(dsl::risk_at.eq(None::<i64>))
                .execute(connection)
                .await?;
            let stale = || StoreError::stale_artifact("report the risk", artifact);
            return Ok(if told > 0 { Ok(()) } else { Err(stale()) });
        }
    };
    if let Err(error) = held(connection, SETTLE, *lease).await? {
        return Ok(Err(error));
    }
    let now = time(connection, now).await?;
    diesel::update(row())
        .set((
            dsl::phase.eq(phase::SETTLED),
            dsl::outcome.eq(state.as_str()),
            dsl::settled_at.eq(now),
            dsl::risk_at.eq(None::<i64>),
        ))
        .execute(connection)
        .await?;
    match settling {
        Settling::Lost { why, error, .. } => {
            diesel::update(row()).set(dsl::why.eq(why.as_str())).execute(connection).await?;
            if let Some(error) = error {
                diesel::update(row()).set(dsl::error.eq(text(error))).execute(connection).await?;
            }
        }
        _ => {
            diesel::update(row()).set(dsl::why.eq(None::<String>)).execute(connection).await?;
        }
    }
    Ok(Ok(()))
}

async fn postpone(
    connection: &mut Connection,
    lease: ArtifactLease,
    postponed: &Postponed,
) -> QueryResult<Result<(), StoreError>> {
    atomically!(connection, {
        let held = held(connection, "postpone the artifact", lease).await?;
        if held.is_ok() {
            let row = || dsl::jaas_artifacts.filter(dsl::id.eq(lease.artifact.get()));
            diesel::update(row())
                .set((
                    dsl::phase.eq(phase::WAITS),
                    dsl::fence.eq(dsl::fence + 1),
                    dsl::failures.eq(dsl::failures + 1),
                    dsl::due_at.eq(postponed.until.as_millis()),
                    dsl::why.eq(postponed.why.as_str()),
                    dsl::error.eq(text(&postponed.error)),
                ))
                .execute(connection)
                .await?;
            if let Some(at_risk) = postponed.at_risk {
                let at_risk = at_risk.as_millis();
                diesel::update(row().filter(dsl::risk_at.gt(at_risk)))
                    .set(dsl::risk_at.eq(at_risk))
                    .execute(connection)
                    .await?;
            }
        }
        Ok(held)
    })
}

async fn release(connection: &mut Connection, leases: &[ArtifactLease], now: Now) -> QueryResult<()> {
    atomically!(connection, {
        let now = time(connection, now).await?;
        for lease in leases {
            if held(connection, "release", *lease).await?.is_ok() {
                diesel::update(dsl::jaas_artifacts.filter(dsl::id.eq(lease.artifact.get())))
                    .set((dsl::phase.eq(phase::READY), dsl::fence.eq(dsl::fence + 1), dsl::due_at.eq(now)))
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    })
}

async fn at_risk(connection: &mut Connection, now: Now, limit: u32) -> QueryResult<Claimed> {
    let now = time(connection, now).await?;
    // Those whose risk began first die first, as long as they are all given the same time.
    let ids = dsl::jaas_artifacts
        .filter(dsl::risk_at.is_not_null().and(dsl::risk_at.le(now)))
        .order(dsl::risk_at)
        .limit(i64::from(limit))
        .select(dsl::id)
        .load(connection)
        .await?;
    of(connection, ids).await
}

async fn next(connection: &mut Connection, now: Now) -> QueryResult<Option<Duration>> {
    let now = time(connection, now).await?;
    let mut earliest: Option<i64> = None;
    for at in [phase::READY, phase::WAITS, phase::RUNS] {
        let due: Option<i64> = dsl::jaas_artifacts
            .filter(dsl::phase.eq(at))
            .select(min(dsl::due_at))
            .get_result(connection)
            .await?;
        earliest = earliest.into_iter().chain(due).min();
    }
    let risk: Option<i64> = dsl::jaas_artifacts
        .filter(dsl::risk_at.is_not_null())
        .select(min(dsl::risk_at))
        .get_result(connection)
        .await?;
    Ok(earliest.into_iter().chain(risk).min().map(|at| since(at, now)))
}

async fn list(connection: &mut Connection, query: &ArtifactQuery) -> QueryResult<Vec<Row>> {
    let mut rows = dsl::jaas_artifacts.limit(one_more(query.page)).select(Row::as_select()).into_boxed();
    rows = if query.page.newest_first {
        rows.filter(dsl::id.lt(after(query.page))).order(dsl::id.desc())
    } else {
        rows.filter(dsl::id.gt(after(query.page))).order(dsl::id)
    };
    if let Some(session) = &query.session_id {
        rows = rows.filter(dsl::session_id.eq(text(session.as_str())));
    }
    if let Some(event) = query.event {
        rows = rows.filter(dsl::event_id.eq(event.get()));
    }
    rows = match query.state {
        None => rows,
        Some(ArtifactState::Running) => rows.filter(dsl::phase.eq(phase::RUNS)),
        Some(ArtifactState::Waiting) => rows.filter(dsl::phase.lt(phase::RUNS)),
        Some(state) => rows.filter(dsl::outcome.eq(state.as_str())),
    };
    rows.load(connection).await
}

async fn stats(connection: &mut Connection) -> QueryResult<ArtifactStats> {
    let open = || dsl::jaas_artifacts.filter(dsl::phase.lt(phase::SETTLED));
    let count: i64 = open().select(count_star()).get_result(connection).await?;
    let mut oldest: Option<i64> = None;
    for at in [phase::READY, phase::WAITS, phase::RUNS] {
        let first: Option<i64> = dsl::jaas_artifacts
            .filter(dsl::phase.eq(at))
            .select(min(dsl::deadline))
            .get_result(connection)
            .await?;
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(ArtifactStats::new(u64::try_from(count).unwrap_or(0), oldest.map(Timestamp::from_millis)))
}

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

    async fn artifact_stats(&self) -> Result<ArtifactStats, StoreError> {
        asked!(read, self, "count artifacts", [] connection => stats(connection))
    }
}
