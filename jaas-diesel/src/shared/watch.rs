//! The statements on watched sessions and their gaps, and [`GapStore`] for the store.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`; `Connection` is
//! `SqliteConnection`, which blocks, `AsyncPgConnection` or `AsyncMysqlConnection`; `Tx` is what transactional
//! handlers get; `asked!` runs a query on a connection of the backend.

#[path = "watch_writes.rs"]
mod writes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use diesel::dsl::count_star;
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult,
    SelectableHelper as _,
};
use jaas_core::store::{Page, StoreError, TxWork};
use jaas_core::watch::{
    GapChange, GapCount, GapQuery, GapRecord, GapState, GapStore, NewSightings, SessionClaim,
    SessionClaimRequest, SessionLease, Watched,
};
use jaas_core::{HandlerError, HandlerResult, SessionId, Timestamp};

use self::writes::{InsertGap, InsertSightings, MoveSightings, WatchSession};
use super::dialect::{Connection, RunQueryDsl as _, atomically, locked, locked_unless_taken, within};
use super::queries::{after, one_more};
use super::{Connection as Tx, Store, asked};
use crate::ending::Ending;
use crate::error::unavailable;
use crate::meetings::rows::RoomKey;
use crate::now::Now;
use crate::rows::{page_of, since, text};
use crate::watch::rows::{ClaimedRow, GapRow, NewRows, SightingRow, key_of, rule};
use crate::watch::schema::{jaas_gaps, jaas_sightings, jaas_watched};

/// How many rows of a session one statement reads at most.
const PAGE: i64 = 1000;

/// How much of an auditor's name is kept.
const MAX_WORKER_CHARS: usize = 255;

const RECORD: &str = "write down what an event shows";
const CHANGE: &str = "record the gap";

const OPEN: &str = GapState::Open.as_str();
const CLOSED: &str = GapState::Closed.as_str();

async fn time(connection: &mut Connection, now: Now) -> QueryResult<i64> {
    diesel::select(now).get_result(connection).await
}

async fn record(connection: &mut Connection, new: NewRows) -> QueryResult<usize> {
    let NewRows { session_id, fqn, now, due_at, sightings } = new;
    let added = InsertSightings(sightings).execute(connection).await?;
    if added > 0 {
        WatchSession { session_id, fqn, now, due_at }.execute(connection).await?;
    }
    Ok(added)
}

async fn touch(connection: &mut Connection, session: String, now: i64) -> QueryResult<bool> {
    use jaas_watched::dsl;
    let earlier = dsl::jaas_watched.filter(dsl::session_id.eq(session).and(dsl::last_seen_at.lt(now)));
    Ok(diesel::update(earlier).set(dsl::last_seen_at.eq(now)).execute(connection).await? > 0)
}

async fn record_endpoint(connection: &mut Connection, new: NewRows, forget_before: i64) -> QueryResult<()> {
    use jaas_sightings::dsl;
    atomically!(connection, {
        let NewRows { session_id, fqn, now, due_at, sightings } = new;
        let old = dsl::session_id.eq(session_id.clone()).and(dsl::happened_at.lt(forget_before));
        MoveSightings(sightings).execute(connection).await?;
        diesel::delete(dsl::jaas_sightings.filter(old)).execute(connection).await?;
        WatchSession { session_id, fqn, now, due_at }.execute(connection).await?;
        Ok(())
    })
}

async fn claim(
    connection: &mut Connection,
    request: &SessionClaimRequest,
    now: Now,
) -> QueryResult<Vec<SessionClaim>> {
    use jaas_watched::dsl;
    atomically!(connection, {
        let now = time(connection, now).await?;
        let due = dsl::jaas_watched
            .filter(dsl::due_at.le(now))
            .order(dsl::due_at)
            .limit(i64::try_from(request.limit).unwrap_or(i64::MAX))
            .select(dsl::session_id);
        let due: Vec<String> = locked_unless_taken!(due).load(connection).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let worker: String = text(&request.worker).chars().take(MAX_WORKER_CHARS).collect();
        let until = Timestamp::from_millis(now).saturating_add(request.lease).as_millis();
        diesel::update(dsl::jaas_watched.filter(dsl::session_id.eq_any(&due)))
            .set((dsl::due_at.eq(until), dsl::fence.eq(dsl::fence + 1), dsl::worker.eq(worker)))
            .execute(connection)
            .await?;
        let mut rows: Vec<ClaimedRow> = dsl::jaas_watched
            .filter(dsl::session_id.eq_any(&due))
            .select(ClaimedRow::as_select())
            .load(connection)
            .await?;
        rows.sort_by_key(|row| due.iter().position(|session| *session == row.session_id));
        Ok(rows.into_iter().map(|row| row.claim(now)).collect())
    })
}

async fn watched(connection: &mut Connection, session: &str) -> QueryResult<(Vec<SightingRow>, Vec<GapRow>)> {
    let (mut sightings, mut gaps): (Vec<SightingRow>, Vec<GapRow>) = Default::default();
    loop {
        let after = sightings.last().map_or(0, |row| row.id);
        let page: Vec<SightingRow> = jaas_sightings::table
            .filter(jaas_sightings::session_id.eq(session).and(jaas_sightings::id.gt(after)))
            .order(jaas_sightings::id)
            .limit(PAGE)
            .select(SightingRow::as_select())
            .load(connection)
            .await?;
        let more = page.len() as i64 == PAGE;
        sightings.extend(page);
        if !more {
            break;
        }
    }
    loop {
        let after = gaps.last().map_or(0, |row| row.id);
        let page: Vec<GapRow> = jaas_gaps::table
            .filter(jaas_gaps::session_id.eq(session).and(jaas_gaps::id.gt(after)))
            .order(jaas_gaps::id)
            .limit(PAGE)
            .select(GapRow::as_select())
            .load(connection)
            .await?;
        let more = page.len() as i64 == PAGE;
        gaps.extend(page);
        if !more {
            return Ok((sightings, gaps));
        }
    }
}

/// Records a gap, in the transaction of a handler; `false` when the claim is not held, or it is recorded already.
async fn change(
    connection: &mut Connection,
    lease: &SessionLease,
    change: &GapChange,
    now: Now,
) -> QueryResult<bool> {
    use jaas_watched::dsl;
    let session = || dsl::jaas_watched.filter(dsl::session_id.eq(key_of(&lease.session)));
    let fence: Option<i64> = locked!(session().select(dsl::fence)).get_result(connection).await.optional()?;
    if fence != Some(lease.fence) {
        return Ok(false);
    }
    let now = time(connection, now).await?;
    let (changed, more_open) = match change {
        GapChange::Found(gap) => (InsertGap(GapRow::new(gap, now)).execute(connection).await?, 1_i64),
        GapChange::Closed(id) => {
            let open = jaas_gaps::id.eq(id.get()).and(jaas_gaps::state.eq(OPEN));
            let closed = (jaas_gaps::state.eq(CLOSED), jaas_gaps::closed_at.eq(now));
            (diesel::update(jaas_gaps::table.filter(open)).set(closed).execute(connection).await?, -1)
        }
    };
    if changed == 0 {
        return Ok(false);
    }
    let count = dsl::open_gaps.eq(dsl::open_gaps + more_open);
    diesel::update(session()).set(count).execute(connection).await?;
    Ok(true)
}

async fn finish(
    connection: &mut Connection,
    audits: &[(SessionClaim, Option<Timestamp>)],
    now: Now,
) -> QueryResult<()> {
    use jaas_watched::dsl;
    atomically!(connection, {
        let now = time(connection, now).await?;
        let mut audits: Vec<_> = audits.iter().collect();
        // Every auditor locks them in this order.
        audits.sort_by(|(one, _), (other, _)| one.lease.session.cmp(&other.lease.session));
        for (claim, next) in audits {
            let held = dsl::session_id.eq(key_of(&claim.lease.session)).and(dsl::fence.eq(claim.lease.fence));
            let unchanged = dsl::jaas_watched.filter(held.clone().and(dsl::version.eq(claim.version)));
            let next = next.map(Timestamp::as_millis);
            let done = diesel::update(unchanged).set(dsl::due_at.eq(next)).execute(connection).await?;
            if done == 0 {
                let changed = dsl::jaas_watched.filter(held.and(dsl::version.ne(claim.version)));
                diesel::update(changed).set(dsl::due_at.eq(now)).execute(connection).await?;
            }
        }
        Ok(())
    })
}

async fn next(connection: &mut Connection, now: Now) -> QueryResult<Option<Duration>> {
    use jaas_watched::dsl;
    let now = time(connection, now).await?;
    // MariaDB reads every row for the `MIN` of those that are not NULL.
    let due = dsl::jaas_watched.filter(dsl::due_at.is_not_null()).order(dsl::due_at).limit(1);
    let due: Option<Option<i64>> = due.select(dsl::due_at).get_result(connection).await.optional()?;
    Ok(due.flatten().map(|at| since(at, now)))
}

async fn list(connection: &mut Connection, query: &GapQuery) -> QueryResult<Vec<GapRow>> {
    use jaas_gaps::dsl;
    let mut rows = dsl::jaas_gaps.limit(one_more(query.page)).select(GapRow::as_select()).into_boxed();
    rows = if query.page.newest_first {
        rows.filter(dsl::id.lt(after(query.page))).order(dsl::id.desc())
    } else {
        rows.filter(dsl::id.gt(after(query.page))).order(dsl::id)
    };
    if let Some(state) = query.state {
        rows = rows.filter(dsl::state.eq(state.as_str()));
    }
    if let Some(rule) = query.rule {
        rows = rows.filter(dsl::rule.eq(rule.as_str()));
    }
    if let Some(session) = &query.session_id {
        rows = rows.filter(dsl::session_id.eq(key_of(session)));
    }
    if let Some(fqn) = &query.room {
        let RoomKey { tenant, room } = RoomKey::of(fqn);
        rows = rows.filter(dsl::room.eq(room));
        if !tenant.is_empty() {
            rows = rows.filter(dsl::tenant.eq(tenant));
        }
    }
    rows.load(connection).await
}

async fn counts(connection: &mut Connection) -> QueryResult<Vec<(String, i64)>> {
    use jaas_gaps::dsl;
    let open = dsl::jaas_gaps.filter(dsl::state.eq(OPEN)).group_by(dsl::rule);
    open.select((dsl::rule, count_star())).load(connection).await
}

#[async_trait]
impl GapStore for Store {
    async fn record_sightings(&self, tx: &mut Tx, new: &NewSightings) -> Result<usize, StoreError> {
        let rows = NewRows::new(new);
        let added = within!(tx, connection => record(connection, rows));
        added.map_err(|error| unavailable(RECORD, error))
    }

    async fn touch_session(
        &self,
        tx: &mut Tx,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (session, now) = (key_of(session), now.as_millis());
        let touched = within!(tx, connection => touch(connection, session, now));
        touched.map_err(|error| unavailable(RECORD, error))
    }

    async fn record_endpoint(&self, new: &NewSightings, forget_before: Timestamp) -> Result<(), StoreError> {
        let (rows, before) = (NewRows::new(new), forget_before.as_millis());
        asked!(write, self, "write down what an endpoint shows", [rows] connection => record_endpoint(connection, rows.clone(), before))
    }

    async fn claim_sessions(&self, request: &SessionClaimRequest) -> Result<Vec<SessionClaim>, StoreError> {
        let now = self.shared.now(request.now);
        asked!(write, self, "claim sessions to audit", [request] connection => claim(connection, &request, now))
    }

    async fn watched(&self, session: &SessionId) -> Result<Watched, StoreError> {
        let session = key_of(session);
        let (sightings, gaps) = asked!(
            read, self, "read what was seen in a session",
            [session] connection => watched(connection, &session)
        )?;
        let sightings = sightings.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        let gaps = gaps.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Watched::new(sightings, gaps))
    }

    async fn change_gap(
        &self,
        lease: &SessionLease,
        gap: &GapChange,
        now: Timestamp,
        work: TxWork<Tx>,
    ) -> Result<HandlerResult, StoreError> {
        let now = self.shared.now(now);
        let (held, gap) = (lease.clone(), gap.clone());
        let refused = Arc::new(Mutex::new(None));
        let why = refused.clone();
        let changed: TxWork<Tx> = Box::new(move |tx| {
            Box::pin(async move {
                let session = held.session.clone();
                let error = match within!(tx, connection => change(connection, &held, &gap, now)) {
                    Ok(true) => return work(tx).await,
                    Ok(false) => StoreError::stale_audit(&session),
                    Err(error) => unavailable(CHANGE, error),
                };
                if let Ok(mut why) = why.lock() {
                    *why = Some(error);
                }
                Err(HandlerError::retry("the gap is not recorded"))
            })
        });
        let (result, _) = self.shared.in_transaction(Ending::Commit, changed).await?;
        let refused = refused.lock().ok().and_then(|mut refused| refused.take());
        match refused {
            Some(error) => Err(error),
            None => Ok(result),
        }
    }

    async fn finish_sessions(
        &self,
        audits: &[(SessionClaim, Option<Timestamp>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (audits, now) = (Arc::<[(SessionClaim, Option<Timestamp>)]>::from(audits), self.shared.now(now));
        asked!(write, self, "end audits", [audits] connection => finish(connection, &audits, now))
    }

    async fn next_session(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let now = self.shared.now(now);
        asked!(read, self, "find the next session to audit", [] connection => next(connection, now))
    }

    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError> {
        let page = query.page;
        let rows = asked!(read, self, "list gaps", [query] connection => list(connection, &query))?;
        page_of(rows, page, |record: &GapRecord| record.id)
    }

    async fn gap_counts(&self) -> Result<Vec<GapCount>, StoreError> {
        let counts = asked!(read, self, "count gaps", [] connection => counts(connection))?;
        let count = |(name, open): (String, i64)| {
            Ok(GapCount::new(rule(0, &name)?, u64::try_from(open).unwrap_or(0)))
        };
        let mut counts = counts.into_iter().map(count).collect::<Result<Vec<_>, StoreError>>()?;
        counts.sort_by_key(|count| count.rule);
        Ok(counts)
    }
}
