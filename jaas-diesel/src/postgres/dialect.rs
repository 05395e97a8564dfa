//! What is particular to PostgreSQL in the shared queries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection as _, TransactionManager as _};
use jaas_core::Handled;
use jaas_core::store::{EventState, Lease, RowId, StoreError};
use jaas_core::telemetry::target;

pub(super) use diesel_async::RunQueryDsl;

use super::queries;
pub(super) use super::server::asked;
use crate::migrations::{Script, scripts};
use crate::now::{Now, TellsTime, millis};
use crate::rows::{Completion, Inserted, NewEvent, text};

/// What the shared queries run on.
pub(super) type Connection = AsyncPgConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("postgres");

/// Whether events can be claimed with their insert.
pub(super) const HANDS_OVER: bool = true;

/// Does all of this or nothing.
macro_rules! atomically {
    ($connection:ident, $body:block) => {{
        $crate::postgres::dialect::begin($connection).await?;
        let result: QueryResult<_> = async {
            let $connection = &mut *$connection;
            $body
        }
        .await;
        $crate::postgres::dialect::end($connection, result).await
    }};
}

/// Does this while no other process migrates.
macro_rules! exclusively {
    ($connection:ident, $body:block) => {{
        $crate::postgres::dialect::begin($connection).await?;
        let result: Result<_, MigrationError> = async {
            let $connection = &mut *$connection;
            $crate::postgres::dialect::lock_migrations($connection).await?;
            $body
        }
        .await;
        $crate::postgres::dialect::end($connection, result).await
    }};
}

/// Locks the rows of a query until the end of the transaction.
macro_rules! locked {
    ($query:expr) => {
        $query.for_update()
    };
}

/// Locks the rows of a query that nobody else has locked, and leaves out the others.
macro_rules! skip_locked {
    ($query:expr) => {
        $query.for_update().skip_locked()
    };
}

/// Claims the first rows of a query.
macro_rules! claim_first {
    ($connection:expr, $first:expr, $worker:expr, $until:expr) => {
        $crate::postgres::dialect::ClaimFirst { first: $first, worker: $worker, until: $until }
            .load::<ClaimRow>($connection)
            .await
    };
}

/// The columns that tell that a row exists already.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        ($($column),*)
    };
}

pub(super) use {atomically, claim_first, conflict_target, exclusively, locked, skip_locked};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

pub(super) async fn begin(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    Transactions::begin_transaction(connection).await
}

/// Commits what went well, and rolls back the rest.
pub(super) async fn end<T, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    result: Result<T, E>,
) -> Result<T, E> {
    match result {
        Ok(done) => {
            Transactions::commit_transaction(connection).await?;
            Ok(done)
        }
        Err(error) => {
            // When this fails too, the connection is not used again, and the database rolls back.
            let _ = Transactions::rollback_transaction(connection).await;
            Err(error)
        }
    }
}

/// Waits until no other process migrates, and creates the list of migrations.
pub(super) async fn lock_migrations(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection
        .batch_execute(
            "SELECT pg_advisory_xact_lock(hashtext('jaas_migrations'));
             CREATE TABLE IF NOT EXISTS jaas_migrations (version TEXT PRIMARY KEY, applied_at BIGINT NOT NULL);",
        )
        .await
}

pub(super) async fn batch_execute(connection: &mut AsyncPgConnection, sql: &str) -> QueryResult<()> {
    connection.batch_execute(sql).await
}

/// Whether the list of migrations exists, in the schema that the connection has chosen.
pub(super) async fn is_migrated(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    use diesel::dsl::sql;
    diesel::select(sql::<Bool>("to_regclass('jaas_migrations') IS NOT NULL")).get_result(connection).await
}

/// An update of the rows that a query answers, in one statement: a process that is stopped in the middle leaves no
/// row locked. The array makes sure that the query is asked once.
#[derive(QueryId)]
pub(super) struct ClaimFirst<Q> {
    pub(super) first: Q,
    pub(super) worker: String,
    pub(super) until: Now,
}

impl<Q> Query for ClaimFirst<Q> {
    type SqlType = (BigInt, BigInt, Text, BigInt, Binary, Integer, Integer, Integer, Text, Nullable<Text>);
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for ClaimFirst<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("UPDATE jaas_events SET state = 'running', fence = fence + 1, worker = ");
        out.push_bind_param::<Text, _>(&self.worker)?;
        out.push_sql(", leased_until = ");
        self.until.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE id = ANY(ARRAY(");
        self.first.walk_ast(out.reborrow())?;
        out.push_sql(
            ")) RETURNING id, fence, endpoint, received_at, body, failures, crashes, interruptions, completed, \
             trace_context",
        );
        Ok(())
    }
}

/// Inserts events; answers those that were new, at their places. Where a worker has room, an event is claimed for it
/// with the insert, unless others of its session wait or run.
pub(super) async fn insert_new(
    connection: &mut AsyncPgConnection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    let with_claims = events.iter().any(|event| event.claimant.is_some());
    let mut rows: Vec<InsertedRow> =
        InsertEvents::new(events, with_claims, callers_time).load(connection).await?;
    if with_claims && rows.len() < events.len() {
        // A claim is refused also when another process claims an event of the same session at the same time. Then
        // the key is still free, and the event is stored unclaimed.
        let stored: HashSet<(&str, &str)> = rows.iter().map(InsertedRow::key).collect();
        let missing: Vec<_> = events.iter().copied().filter(|event| !stored.contains(&event.key())).collect();
        let more: Vec<InsertedRow> =
            InsertEvents::new(&missing, false, callers_time).load(connection).await?;
        rows.extend(more);
    }
    let mut inserted: HashMap<(&str, &str), Inserted> =
        rows.iter().map(|row| (row.key(), row.inserted())).collect();
    Ok(events.iter().map(|event| inserted.remove(&event.key())).collect())
}

#[derive(Queryable)]
struct InsertedRow {
    id: i64,
    fence: i64,
    endpoint: String,
    idempotency_key: String,
    state: String,
}

impl InsertedRow {
    fn key(&self) -> (&str, &str) {
        (&self.endpoint, &self.idempotency_key)
    }

    fn inserted(&self) -> Inserted {
        let claimed = self.state == EventState::Running.as_str();
        Inserted { lease: claimed.then_some(Lease { event: RowId::new(self.id), fence: self.fence }) }
    }
}

/// A multi-row insert that is prepared once, however many rows it has.
struct InsertEvents<'a> {
    endpoints: Vec<&'a str>,
    keys: Vec<&'a str>,
    event_types: Vec<&'a str>,
    sessions: Vec<Option<&'a str>>,
    fqns: Vec<&'a str>,
    occurred: Vec<i64>,
    received: Vec<i64>,
    bodies: Vec<&'a [u8]>,
    hashes: Vec<&'a [u8]>,
    traces: Vec<Option<&'a str>>,
    workers: Vec<Option<&'a str>>,
    leases: Vec<i64>,
    fences: Vec<i64>,
    callers_time: bool,
}

impl QueryId for InsertEvents<'_> {
    type QueryId = InsertEvents<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<'a> InsertEvents<'a> {
    fn new(events: &[&'a NewEvent], with_claims: bool, callers_time: bool) -> Self {
        // Of a session only what happened first can be claimed.
        let mut first: HashMap<&str, (i64, usize)> = HashMap::new();
        for (place, event) in events.iter().enumerate() {
            if let Some(session) = &event.session_id {
                let earliest = first.entry(session).or_insert((event.occurred_at, place));
                *earliest = (*earliest).min((event.occurred_at, place));
            }
        }
        let claimant = |place: usize, event: &&'a NewEvent| {
            let session = event.session_id.as_deref();
            let goes_first = session.is_none_or(|session| first.get(session).is_some_and(|f| f.1 == place));
            event.claimant.as_ref().filter(|_| with_claims && goes_first)
        };
        let claimants: Vec<_> =
            events.iter().enumerate().map(|(place, event)| claimant(place, event)).collect();
        Self {
            endpoints: events.iter().map(|event| &*event.endpoint).collect(),
            keys: events.iter().map(|event| &*event.idempotency_key).collect(),
            event_types: events.iter().map(|event| &*event.event_type).collect(),
            sessions: events.iter().map(|event| event.session_id.as_deref()).collect(),
            fqns: events.iter().map(|event| &*event.fqn).collect(),
            occurred: events.iter().map(|event| event.occurred_at).collect(),
            received: events.iter().map(|event| event.received_at).collect(),
            bodies: events.iter().map(|event| &*event.body).collect(),
            hashes: events.iter().map(|event| &*event.body_hash).collect(),
            traces: events.iter().map(|event| event.trace_context.as_deref()).collect(),
            workers: claimants.iter().map(|claimant| claimant.map(|claimant| &*claimant.worker)).collect(),
            leases: claimants.iter().map(|claimant| claimant.map_or(0, |c| millis(c.lease))).collect(),
            fences: claimants.iter().map(|claimant| claimant.map_or(0, |c| c.fence)).collect(),
            callers_time,
        }
    }
}

impl Query for InsertEvents<'_> {
    type SqlType = (BigInt, BigInt, Text, Text, Text);
}

impl QueryFragment<Pg> for InsertEvents<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // `LIMIT` makes the planner look up each session by the index, where `NOT EXISTS` may have it read the whole
        // table; `OFFSET` makes it look once and not again for each column that depends on it.
        out.push_sql(
            "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, \
             occurred_at, received_at, body, body_hash, trace_context, state, completed, due_at, fence, worker, \
             leased_until) \
             SELECT n.endpoint, n.idempotency_key, n.event_type, n.session_id, n.fqn, n.occurred_at, n.received_at, \
             n.body, n.body_hash, n.trace_context, CASE WHEN n.claimed THEN 'running' ELSE 'waiting' END, '', \
             LEAST(n.received_at, n.now), CASE WHEN n.claimed THEN n.fence ELSE 0 END, \
             CASE WHEN n.claimed THEN n.worker END, CASE WHEN n.claimed THEN n.now + n.lease ELSE 0 END \
             FROM (SELECT u.*, u.worker IS NOT NULL AND (SELECT o.id FROM jaas_events o \
             WHERE o.session_id = u.session_id AND o.state IN ('waiting', 'running') LIMIT 1) IS NULL AS claimed, CASE WHEN ",
        );
        out.push_bind_param::<Bool, _>(&self.callers_time)?;
        out.push_sql(" THEN u.received_at ELSE ");
        out.push_sql(<Pg as TellsTime>::NOW);
        out.push_sql(" END AS now FROM UNNEST(");
        out.push_bind_param::<Array<Text>, _>(&self.endpoints)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.event_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.sessions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.fqns)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.occurred)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.received)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.bodies)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.hashes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.traces)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.workers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.leases)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.fences)?;
        out.push_sql(
            ") AS u (endpoint, idempotency_key, event_type, session_id, fqn, occurred_at, received_at, body, body_hash, \
             trace_context, worker, lease, fence) OFFSET 0) AS n ON CONFLICT DO NOTHING RETURNING id, fence, endpoint, idempotency_key, \
             state",
        );
        Ok(())
    }
}

/// Records successful runs together: one statement for those that settle their event, which is most.
pub(super) async fn complete_all(
    connection: &mut AsyncPgConnection,
    completions: &[&Completion],
    now: Now,
) -> QueryResult<Vec<Result<(), StoreError>>> {
    let settles = |completion: &Completion| completion.step.last && completion.handled == Handled::Done;
    let (mut ids, mut fences, mut handlers) = (Vec::new(), Vec::new(), Vec::new());
    for Completion { lease, step, .. } in completions.iter().copied().filter(|completion| settles(completion))
    {
        ids.push(lease.event.get());
        fences.push(lease.fence);
        handlers.push(format!("{}\n", text(&step.handler)));
    }
    let mut done: HashSet<(i64, i64)> = HashSet::new();
    if !ids.is_empty() {
        let rows: Vec<(i64, i64)> = CompleteDone { ids, fences, handlers, now }.load(connection).await?;
        done.extend(rows);
    }
    let mut answers = Vec::with_capacity(completions.len());
    for completion in completions {
        let Completion { lease, step, handled } = completion;
        answers.push(if settles(completion) {
            let done = done.contains(&(lease.event.get(), lease.fence));
            if done { Ok(()) } else { Err(StoreError::stale("complete", *lease)) }
        } else {
            queries::complete(connection, *lease, step, handled, now).await?
        });
    }
    Ok(answers)
}

/// An update of many events that is prepared once.
#[derive(QueryId)]
struct CompleteDone {
    ids: Vec<i64>,
    fences: Vec<i64>,
    handlers: Vec<String>,
    now: Now,
}

impl Query for CompleteDone {
    type SqlType = (BigInt, BigInt);
}

impl QueryFragment<Pg> for CompleteDone {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE jaas_events e SET state = 'done', completed = e.completed || n.handler, settled_at = ",
        );
        self.now.walk_ast(out.reborrow())?;
        out.push_sql(" FROM UNNEST(");
        out.push_bind_param::<Array<BigInt>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.fences)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.handlers)?;
        out.push_sql(
            ") AS n (id, fence, handler) WHERE e.id = n.id AND e.fence = n.fence AND e.state = 'running' \
             RETURNING e.id, e.fence",
        );
        Ok(())
    }
}

/// Sets up a connection that commits are waited for on.
pub(super) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    // What is acknowledged must be on disk, whatever the server's default is; a stricter one stays.
    connection
        .batch_execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )
        .await
}

/// Lets the server give up what the store will not wait for, a little before: otherwise it would still be done, and
/// nobody know.
pub(super) async fn limit_statements(connection: &mut AsyncPgConnection, limit: Duration) -> QueryResult<()> {
    let limit = (limit.as_millis() * 9 / 10).max(1);
    connection.batch_execute(&format!("SET statement_timeout = {limit}")).await
}

/// Makes the connection look up by index, read what waits in order, and stop early. The planner would rather read or sort
/// the whole table, as it takes a queue for short that was short when it last looked, or was never looked at.
pub(super) async fn plan_for_queues(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection
        .batch_execute(
            "SET enable_sort = off; SET enable_bitmapscan = off; SET enable_seqscan = off; SET enable_hashjoin = off; \
             SET enable_mergejoin = off; SET jit = off",
        )
        .await
}

/// Warns when the server may lose what it has committed.
pub(super) async fn check_durability(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let fsync: String =
        diesel::select(sql::<Text>("current_setting('fsync')")).get_result(connection).await?;
    if fsync == "off" {
        tracing::warn!(target: target::STORE, "fsync is off on this server: what was acknowledged is lost when its machine crashes");
    }
    Ok(())
}

/// Whether the database has undone a statement because another one was in its way.
pub(super) fn can_be_tried_again(error: &Error) -> bool {
    match error {
        // Two claims of one session: the later one finds it taken.
        Error::DatabaseError(
            DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::UniqueViolation,
            _,
        ) => true,
        Error::DatabaseError(DatabaseErrorKind::Unknown, about) => {
            about.message().contains("deadlock detected")
        }
        _ => false,
    }
}

/// Whether the connection is of no use after this error.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, about) => {
            about.message().contains("terminating connection")
        }
        Error::DatabaseError(kind, _) => {
            matches!(kind, DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection)
        }
        Error::BrokenTransactionManager | Error::NotInTransaction | Error::AlreadyInTransaction => true,
        _ => false,
    }
}
