//! Claiming artifacts and renewing their leases; those at risk.
//!
//! Compiled once per backend; see the module above for the names.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult,
    SelectableHelper as _,
};
use jaas_core::Timestamp;
use jaas_core::archive::{ArtifactClaim, ArtifactClaimRequest, ArtifactLease};
use jaas_core::store::StoreError;

use super::super::dialect::{Connection, RunQueryDsl as _, atomically, locked_unless_taken};
use super::time;
use crate::artifacts::{EventOfArtifact, Row, phase};
use crate::now::Now;
use crate::rows::text;
use crate::schema::jaas_artifacts::dsl;
use crate::schema::jaas_events;

/// How many artifacts become claimable with one claim, at most.
const MAX_DUE: i64 = 1000;

/// How much of an archiver's name is kept.
const MAX_WORKER_CHARS: usize = 255;

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

pub(super) type Claimed = (Vec<Row>, Vec<EventOfArtifact>);

pub(super) async fn claim(
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

pub(super) fn claims_of((rows, events): Claimed) -> Result<Vec<ArtifactClaim>, StoreError> {
    let events: HashMap<i64, EventOfArtifact> = events.into_iter().map(|event| (event.id, event)).collect();
    rows.into_iter().filter_map(|row| events.get(&row.event_id).map(|event| row.claim(event))).collect()
}

/// Extends leases; returns those that are not held.
pub(super) async fn renew(
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
                // Settled since the rows were read, it must not run again.
                .filter(dsl::phase.ne(phase::SETTLED))
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

pub(super) async fn at_risk(connection: &mut Connection, now: Now, limit: u32) -> QueryResult<Claimed> {
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
