//! Recording what became of a claimed artifact.
//!
//! Compiled once per backend; see the module above for the names.

use diesel::prelude::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult};
use jaas_core::archive::{ArtifactLease, ArtifactState, Kept, Postponed, Settling};
use jaas_core::store::StoreError;

use super::super::dialect::{Connection, RunQueryDsl as _, atomically, locked};
use super::{SETTLE, time};
use crate::artifacts::phase;
use crate::now::Now;
use crate::rows::text;
use crate::schema::jaas_artifacts::dsl;

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

pub(super) async fn keep(
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
pub(super) async fn settle(
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
            let reported = diesel::update(row().filter(dsl::risk_at.is_not_null()))
                .set(dsl::risk_at.eq(None::<i64>))
                .execute(connection)
                .await?;
            let stale = || StoreError::stale_artifact("report the risk", artifact);
            return Ok(if reported > 0 { Ok(()) } else { Err(stale()) });
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

pub(super) async fn postpone(
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

pub(super) async fn release(
    connection: &mut Connection,
    leases: &[ArtifactLease],
    now: Now,
) -> QueryResult<()> {
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
