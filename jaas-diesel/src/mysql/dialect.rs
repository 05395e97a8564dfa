//! What is particular to MySQL and MariaDB in the shared queries.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use diesel::dsl::sql;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    QueryResult,
};
use diesel::{TextExpressionMethods as _, insert_or_ignore_into};
use diesel_async::{
    AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection as _, TransactionManager as _,
};
use jaas_core::Handled;
use jaas_core::store::{EventState, StoreError};
use jaas_core::telemetry::target;

pub(super) use diesel_async::RunQueryDsl;

use super::queries;
pub(super) use super::server::asked;
use crate::migrations::{Script, scripts};
use crate::now::Now;
use crate::rows::{Completion, Inserted, NewEvent, endpoints_and_keys, text};
use crate::schema::jaas_events;

/// What the shared queries run on.
pub(super) type Connection = AsyncMysqlConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("mysql");

/// Whether events can be claimed with their insert.
pub(super) const HANDS_OVER: bool = false;

/// Does all of this or nothing.
macro_rules! atomically {
    ($connection:ident, $body:block) => {{
        $crate::mysql::dialect::begin($connection).await?;
        let result: QueryResult<_> = async {
            let $connection = &mut *$connection;
            $body
        }
        .await;
        $crate::mysql::dialect::end($connection, result).await
    }};
}

/// Does this while no other process migrates. Statements that change tables cannot be rolled back here.
macro_rules! exclusively {
    ($connection:ident, $body:block) => {{
        $crate::mysql::dialect::lock_migrations($connection).await?;
        let result: Result<_, MigrationError> = async {
            let $connection = &mut *$connection;
            $body
        }
        .await;
        $crate::mysql::dialect::unlock_migrations($connection).await?;
        result
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
    ($connection:ident, $first:expr, $worker:expr, $until:expr) => {
        $crate::mysql::dialect::atomically!($connection, {
            let first: Vec<i64> = $first.load($connection).await?;
            if first.is_empty() {
                return Ok(Vec::new());
            }
            diesel::update(jaas_events::table.filter(jaas_events::id.eq_any(&first)))
                .set((
                    jaas_events::state.eq(RUNNING),
                    jaas_events::fence.eq(jaas_events::fence + 1),
                    jaas_events::worker.eq($worker),
                    jaas_events::leased_until.eq($until),
                ))
                .execute($connection)
                .await?;
            let claimed = jaas_events::table.filter(jaas_events::id.eq_any(&first));
            claimed.select(ClaimRow::as_select()).load($connection).await
        })
    };
}

/// What tells that a row exists already: any unique key.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        diesel::dsl::DuplicatedKeys
    };
}

pub(super) use {atomically, claim_first, conflict_target, exclusively, locked, skip_locked};

type Transactions = <AsyncMysqlConnection as AsyncConnection>::TransactionManager;

/// Begins a transaction that locks no gaps between rows: those would hold up inserts.
pub(super) async fn begin(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN";
    Transactions::begin_transaction_sql(connection, BEGIN).await
}

/// Commits what went well, and rolls back the rest.
pub(super) async fn end<T>(connection: &mut AsyncMysqlConnection, result: QueryResult<T>) -> QueryResult<T> {
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
pub(super) async fn lock_migrations(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const GET_LOCK: &str = "GET_LOCK(CONCAT('jaas_migrations.', MD5(DATABASE())), 60)";
    let locked: Option<i64> =
        diesel::select(sql::<Nullable<BigInt>>(GET_LOCK)).get_result(connection).await?;
    if locked != Some(1) {
        let why = "another process has been migrating these tables for more than 60 s";
        return Err(Error::QueryBuilderError(why.into()));
    }
    connection
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS jaas_migrations (version VARCHAR(64) NOT NULL PRIMARY KEY, applied_at BIGINT NOT \
             NULL) ENGINE = InnoDB DEFAULT CHARACTER SET ascii COLLATE ascii_bin",
        )
        .await
}

pub(super) async fn unlock_migrations(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    connection.batch_execute("DO RELEASE_LOCK(CONCAT('jaas_migrations.', MD5(DATABASE())))").await
}

pub(super) async fn batch_execute(connection: &mut AsyncMysqlConnection, sql: &str) -> QueryResult<()> {
    connection.batch_execute(sql).await
}

/// Whether the list of migrations exists.
pub(super) async fn is_migrated(connection: &mut AsyncMysqlConnection) -> QueryResult<bool> {
    const TABLES: &str = "(SELECT COUNT(*) FROM information_schema.tables \
                          WHERE table_schema = DATABASE() AND table_name = 'jaas_migrations')";
    let tables: i64 = diesel::select(sql::<BigInt>(TABLES)).get_result(connection).await?;
    Ok(tables > 0)
}

/// Inserts events; answers those that were new, at their places.
pub(super) async fn insert_new(
    connection: &mut AsyncMysqlConnection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    // A multi-row insert does not tell which of its rows were new, unless all were. So those that are known are left
    // out; should another process be faster with one of the others, they are inserted one by one.
    let (endpoints, keys) = endpoints_and_keys(events.iter().copied());
    let known: Vec<(String, String)> = jaas_events::table
        .filter(jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys)))
        .select((jaas_events::endpoint, jaas_events::idempotency_key))
        .load(connection)
        .await?;
    let known: HashSet<(&str, &str)> = known.iter().map(|(endpoint, key)| (&**endpoint, &**key)).collect();
    let unknown: Vec<&NewEvent> = events.iter().copied().filter(|e| !known.contains(&e.key())).collect();
    let mut new: HashSet<(&str, &str)> = HashSet::new();
    if !unknown.is_empty() {
        let now: i64 = diesel::select(Now::of_the_database()).get_result(connection).await?;
        let early = !callers_time && unknown.iter().any(|event| event.received_at > now);
        begin(connection).await?;
        let all = insert_or_ignore_into(jaas_events::table).values(unknown.clone()).execute(connection).await;
        if all.as_ref().is_ok_and(|inserted| *inserted == unknown.len()) {
            let due = if early { make_due(connection, &unknown, now).await } else { Ok(()) };
            end(connection, due).await?;
            new.extend(unknown.iter().map(|event| event.key()));
        } else {
            Transactions::rollback_transaction(connection).await?;
            all?;
            let one_by_one = atomically!(connection, {
                let mut new = HashSet::new();
                for event in &unknown {
                    let insert = insert_or_ignore_into(jaas_events::table).values(*event);
                    if insert.execute(connection).await? == 1 {
                        new.insert(event.key());
                    }
                }
                if early {
                    make_due(connection, &unknown, now).await?;
                }
                Ok(new)
            })?;
            new.extend(one_by_one);
        }
    }
    Ok(events.iter().map(|event| new.contains(&event.key()).then(Inserted::default)).collect())
}

/// Makes new events due at once that were received by a clock ahead of the database's.
async fn make_due(connection: &mut AsyncMysqlConnection, events: &[&NewEvent], now: i64) -> QueryResult<()> {
    let (endpoints, keys) = endpoints_and_keys(events.iter().copied());
    let early = jaas_events::table
        .filter(jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys)))
        .filter(jaas_events::fence.eq(0).and(jaas_events::due_at.gt(now)));
    diesel::update(early).set(jaas_events::due_at.eq(now)).execute(connection).await?;
    Ok(())
}

/// Records successful runs together.
pub(super) async fn complete_all(
    connection: &mut AsyncMysqlConnection,
    completions: &[&Completion],
    now: Now,
) -> QueryResult<Vec<Result<(), StoreError>>> {
    let settles = |completion: &Completion| completion.step.last && completion.handled == Handled::Done;
    atomically!(connection, {
        let mut by_handler: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
        for completion in completions.iter().filter(|completion| settles(completion)) {
            let lease = (completion.lease.event.get(), completion.lease.fence);
            by_handler.entry(&completion.step.handler).or_default().push(lease);
        }
        let mut done: HashSet<(i64, i64)> = HashSet::new();
        for (handler, leases) in by_handler {
            done.extend(settle_done(connection, handler, &leases, now).await?);
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
    })
}

/// Settles the events of those leases that are held, and answers them.
async fn settle_done(
    connection: &mut AsyncMysqlConnection,
    handler: &str,
    leases: &[(i64, i64)],
    now: Now,
) -> QueryResult<Vec<(i64, i64)>> {
    use jaas_events::dsl;
    let running = dsl::jaas_events
        .filter(dsl::id.eq_any(leases.iter().map(|(id, _)| *id)))
        .filter(dsl::state.eq(EventState::Running.as_str()))
        .order(dsl::id)
        .select((dsl::id, dsl::fence));
    let mut running: Vec<(i64, i64)> = locked!(running).load(connection).await?;
    running.retain(|lease| leases.contains(lease));
    if !running.is_empty() {
        diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(running.iter().map(|(id, _)| *id))))
            .set((
                dsl::state.eq(EventState::Done.as_str()),
                dsl::settled_at.eq(now.nullable()),
                dsl::completed.eq(dsl::completed.concat(format!("{}\n", text(handler)))),
            ))
            .execute(connection)
            .await?;
    }
    Ok(running)
}

/// Sets up a connection that commits are waited for on.
pub(super) async fn prepare(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}

/// Lets the server give up what the store will not wait for, where it can: locks of rows.
pub(super) async fn limit_statements(
    connection: &mut AsyncMysqlConnection,
    limit: Duration,
) -> QueryResult<()> {
    let limit = limit.as_secs().max(1);
    connection.batch_execute(&format!("SET SESSION innodb_lock_wait_timeout = {limit}")).await
}

/// Nothing needs to be planned otherwise.
pub(super) async fn plan_for_queues(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}

/// Warns when the server may lose what it has committed.
pub(super) async fn check_durability(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    let flush: String = diesel::select(sql::<Text>("CAST(@@innodb_flush_log_at_trx_commit AS CHAR)"))
        .get_result(connection)
        .await?;
    if flush != "1" {
        tracing::warn!(
            target: target::STORE,
            innodb_flush_log_at_trx_commit = flush,
            "this server does not flush each commit: what was acknowledged may be lost when its machine crashes; set it to 1"
        );
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
            about.message().contains("try restarting transaction")
        }
        _ => false,
    }
}

/// Whether the connection is of no use after this error. The driver's own errors have no kind, only a text.
pub(super) fn is_lost(error: &Error) -> bool {
    const LOST: [&str; 5] = [
        "Input/output error",
        "Driver error",
        "Server shutdown",
        "Connection was killed",
        "disconnected by the server",
    ];
    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, about) => {
            LOST.iter().any(|lost| about.message().contains(lost))
        }
        Error::DatabaseError(kind, _) => {
            matches!(kind, DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection)
        }
        Error::BrokenTransactionManager | Error::NotInTransaction | Error::AlreadyInTransaction => true,
        _ => false,
    }
}
