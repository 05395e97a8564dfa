//! What differs in PostgreSQL for the shared files: transactions, locks, settings of connections, and the meaning of errors.

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection as _, TransactionManager as _};
use jaas_core::telemetry::target;

pub(super) use diesel_async::RunQueryDsl;

use crate::migrations::{Script, scripts};

/// The connection that the shared files run on.
pub(super) type Connection = AsyncPgConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("postgres");

/// Whether an insert can claim its event.
pub(super) const HANDS_OVER: bool = true;

/// Makes the planner use the index of states. The condition is a range: for a single state, the planner would rather read
/// the primary key from its beginning, because that has the same order.
pub(super) fn of_state(state: &'static str) -> String {
    format!("WHERE state BETWEEN '{state}' AND '{state}'")
}

/// Whether a scan of `in_index!` ends at the end of the span. PostgreSQL 17 and older go on to the last row of this value: of a
/// comparison of rows, only the first column ends a scan.
pub(super) const ENDS_IN_INDEX: bool = false;

/// Whether a column has this value and the id is in this span, for the index of the two. Compared as rows, because an equality
/// would leave the order to the id: with old statistics the planner would read the table in that order until enough rows match.
macro_rules! in_index {
    ($table:ident, $column:ident, $value:expr, $span:expr) => {{
        use diesel::sql_types::{BigInt, Bool, Text};
        let (value, span): (String, $crate::rows::Span) = ($value, $span);
        let columns =
            concat!("(", stringify!($table), ".", stringify!($column), ", ", stringify!($table), ".id)");
        let (behind, up_to) = if span.newest_first { ("<", ">=") } else { (">", "<=") };
        diesel::dsl::sql::<Bool>(&format!("{columns} {behind} ("))
            .bind::<Text, _>(value.clone())
            .sql(", ")
            .bind::<BigInt, _>(span.after)
            .sql(&format!(") AND {columns} {up_to} ("))
            .bind::<Text, _>(value)
            .sql(", ")
            .bind::<BigInt, _>(span.last)
            .sql(")")
    }};
}
pub(super) use in_index;

/// Runs the body in a transaction.
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

/// Runs the body in a transaction while no other process migrates.
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

/// The unique columns by which an insert finds an existing row.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        ($($column),*)
    };
}

/// The same, of those that another claim has not locked.
macro_rules! locked_unless_taken {
    ($query:expr) => {
        $query.for_update().skip_locked()
    };
}

/// Runs a query in the transaction of a handler.
macro_rules! within {
    ($tx:expr, $connection:ident => $query:expr) => {{
        let $connection = &mut *$tx;
        $query.await
    }};
}

pub(super) use {locked_unless_taken, within};

pub(super) use {atomically, atomically as inside, conflict_target, exclusively, locked};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// Begins a transaction, and sets the planner up for the statements on queues.
pub(super) async fn begin(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    Transactions::begin_transaction_sql(
        connection,
        &format!("BEGIN ISOLATION LEVEL READ COMMITTED; {PLAN_FOR_QUEUES}"),
    )
    .await
}

/// Begins the transaction of a handler. It is `READ COMMITTED`, because the head of a queue in an older snapshot would be the
/// wrong event.
pub(super) const BEGIN_FOR_HANDLER: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SAVEPOINT jaas_handler";

/// Commits after success, and rolls back after an error.
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
            // If this fails, too, the connection is not used again, and the database rolls back.
            let _ = Transactions::rollback_transaction(connection).await;
            Err(error)
        }
    }
}

/// Waits until no other process migrates, and creates the table of migrations.
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

/// Whether the table of migrations exists in the current schema of the connection.
pub(super) async fn is_migrated(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    use diesel::dsl::sql;
    diesel::select(sql::<Bool>("to_regclass('jaas_migrations') IS NOT NULL")).get_result(connection).await
}

/// Sets up a connection on which commits must be durable.
pub(super) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    // An acknowledged event must be on disk, even if the server's default is off. A stricter setting stays.
    connection
        .batch_execute(
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )
        .await
}

/// Disables the server's timeouts: the store has its own, a migration has none, and some connections are idle for long.
pub(super) async fn lift_limits(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    // `idle_session_timeout` exists since version 14, `transaction_timeout` since version 17.
    connection
        .batch_execute(
            "SET statement_timeout = 0; SET lock_timeout = 0; SELECT set_config(name, '0', false) FROM \
             unnest(ARRAY['idle_session_timeout', 'transaction_timeout']) name \
             WHERE current_setting(name, true) IS NOT NULL",
        )
        .await
}

/// Does nothing: each transaction sets what the statements rely on.
pub(super) async fn check_session(_: &mut AsyncPgConnection) -> QueryResult<()> {
    Ok(())
}

/// Fails when the database cannot store every event.
pub(super) async fn check_database(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let encoding: String =
        diesel::select(sql::<Text>("current_setting('server_encoding')")).get_result(connection).await?;
    if encoding == "UTF8" {
        return Ok(());
    }
    let why = format!(
        "its encoding is {encoding}, and events are UTF-8; create another database with CREATE DATABASE … ENCODING 'UTF8' \
         TEMPLATE template0"
    );
    Err(Error::QueryBuilderError(why.into()))
}

/// Does nothing: every table of PostgreSQL is transactional.
pub(super) async fn check_tables(_: &mut AsyncPgConnection) -> QueryResult<()> {
    Ok(())
}

/// Makes the server cancel a statement shortly before the store stops waiting for it. Otherwise the server would still commit
/// it, and the store would not know.
pub(super) async fn limit_statements(
    connection: &mut AsyncPgConnection,
    timeout: Duration,
) -> QueryResult<()> {
    let timeout = (timeout.as_millis() * 9 / 10).max(1);
    connection.batch_execute(&format!("SET statement_timeout = {timeout}")).await
}

/// Makes the planner use indexes for the rest of a transaction, read waiting events in their order, and stop early. When its
/// statistics are old or missing, it takes a long queue for a short one, and would read or sort the whole table. It would
/// also plan each execution again, which takes longer than the execution, because an array of one element seems cheaper than
/// an array of unknown length.
pub(super) const PLAN_FOR_QUEUES: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_nestloop = on; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
     SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// Runs after a handler: fails if the handler has ended its transaction, and sets the planner up for the queues.
pub(super) const AFTER_HANDLER: &str = "RELEASE SAVEPOINT jaas_handler; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
     SET LOCAL plan_cache_mode = force_generic_plan";

/// Sets the planner up for queues for as long as the connection lives.
pub(super) async fn plan_for_queues(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection.batch_execute(&PLAN_FOR_QUEUES.replace(" LOCAL", "")).await
}

/// Makes the planner use hash joins on the connection that stores events in groups. The insert joins its result with its
/// parameters, for which there is no index; a nested loop would take quadratic time.
pub(super) async fn plan_for_groups(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection.batch_execute("SET enable_hashjoin = on; SET enable_nestloop = off").await
}

/// Warns when the server may lose commits.
pub(super) async fn check_durability(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let fsync: String =
        diesel::select(sql::<Text>("current_setting('fsync')")).get_result(connection).await?;
    if fsync == "off" {
        tracing::warn!(target: target::STORE, "this server has fsync off: acknowledged events are lost when its machine crashes; set fsync to on");
    }
    Ok(())
}

/// Whether the database has undone a statement because of a concurrent statement, so that it can be tried again.
pub(super) fn can_be_tried_again(error: &Error) -> bool {
    match error {
        // Two claims of one session: on the next try the later one sees the claim of the other.
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

/// Whether the server refused a statement because it is read-only now. Nothing was changed, and another server is behind the
/// address now, or soon.
pub(super) fn is_read_only(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))
}

/// Fails when the server is read-only now.
pub(super) async fn check_writable(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let read_only: String = diesel::select(sql::<Text>("current_setting('transaction_read_only')"))
        .get_result(connection)
        .await?;
    if read_only == "off" {
        return Ok(());
    }
    let why = Box::new("the server is read-only".to_owned());
    Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, why))
}

/// Whether the connection cannot be used after this error.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        error if is_read_only(error) => true,
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
