//! What is due next, what is listed and counted.
//!
//! Compiled once per backend; see the module above for the names.

use std::time::Duration;

use diesel::dsl::{count_star, min};
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _,
};
use jaas_core::Timestamp;
use jaas_core::archive::{ArtifactQuery, ArtifactState, ArtifactStats};
use jaas_core::meetings::TimePageRequest;

use super::super::dialect::{Connection, RunQueryDsl as _};
use super::super::queries::{after, one_more};
use super::time;
use crate::artifacts::{Row, phase};
use crate::now::Now;
use crate::rows::{since, text};
use crate::schema::jaas_artifacts::dsl;

pub(super) async fn next(connection: &mut Connection, now: Now) -> QueryResult<Option<Duration>> {
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

pub(super) async fn list(connection: &mut Connection, query: &ArtifactQuery) -> QueryResult<Vec<Row>> {
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

/// Those that are not settled, by deadline: as many of each phase as a page takes, because each is a range of the index.
pub(super) async fn open(connection: &mut Connection, page: &TimePageRequest) -> QueryResult<Vec<Row>> {
    let mut open = Vec::new();
    for at in [phase::READY, phase::WAITS, phase::RUNS] {
        let mut rows = dsl::jaas_artifacts
            .filter(dsl::phase.eq(at))
            .order((dsl::phase, dsl::deadline, dsl::id))
            .limit(page.clamped_limit() as i64 + 1)
            .select(Row::as_select())
            .into_boxed();
        if let Some(after) = &page.after {
            let (deadline, id) = (after.at().as_millis(), after.key().parse().unwrap_or(i64::MIN));
            // The first says where the range begins; databases do not find that in the second.
            rows =
                rows.filter(dsl::deadline.ge(deadline)).filter(dsl::deadline.gt(deadline).or(dsl::id.gt(id)));
        }
        open.extend(rows.load(connection).await?);
    }
    Ok(open)
}

pub(super) async fn stats(connection: &mut Connection) -> QueryResult<ArtifactStats> {
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
