//! What is particular to PostgreSQL in the shared queries.

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection as _, TransactionManager as _};
use jaas_core::telemetry::target;

pub(super) use diesel_async::RunQueryDsl;

use crate::migrations::{Script, scripts};

/// What the shared queries run on.
pub(super) type Connection = AsyncPgConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("postgres");

/// Whether events can be claimed with their insert.
pub(super) const HANDS_OVER: bool = true;

/// Has events of a state looked up by the index of states. As a range, because the order of one state would be that of the
/// primary key, which the planner then prefers to read from its beginning.
pub(super) fn of_state(state: &'static str) -> String {
    format!("WHERE state BETWEEN '{state}' AND '{state}'")
}

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

/// The columns that tell that a row exists already.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        ($($column),*)
    };
}

pub(super) use {atomically, atomically as inside, conflict_target, exclusively, locked};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

pub(super) async fn begin(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    Transactions::begin_transaction_sql(
        connection,
        &format!("BEGIN ISOLATION LEVEL READ COMMITTED; {PLAN_FOR_QUEUES}"),
    )
    .await
}

/// Begins the transaction of a handler. Each statement sees what was committed before it: a head of a queue that was read
/// from an older snapshot would be the wrong one.
pub(super) const BEGIN_FOR_HANDLER: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SAVEPOINT jaas_handler";

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

/// Sets up a connection that commits are waited for on.
pub(super) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    // What is acknowledged must be on disk, whatever the server's default is; a stricter one stays.
    connection
        .batch_execute(
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )
        .await
}

/// Lifts the server's limits of time: the store has its own, a migration has none, and some connections are idle for long.
pub(super) async fn lift_limits(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    // Versions before 14 and 17 do not have the last two.
    connection
        .batch_execute(
            "SET statement_timeout = 0; SET lock_timeout = 0; SELECT set_config(name, '0', false) FROM \
             unnest(ARRAY['idle_session_timeout', 'transaction_timeout']) name \
             WHERE current_setting(name, true) IS NOT NULL",
        )
        .await
}

/// Each transaction of the store's sets what it relies on.
pub(super) async fn check_session(_: &mut AsyncPgConnection) -> QueryResult<()> {
    Ok(())
}

/// Fails when the database cannot hold what is sent.
pub(super) async fn check_database(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let encoding: String =
        diesel::select(sql::<Text>("current_setting('server_encoding')")).get_result(connection).await?;
    if encoding == "UTF8" {
        return Ok(());
    }
    let why = format!(
        "its encoding is {encoding}, and events are UTF-8; make another one with CREATE DATABASE … ENCODING 'UTF8' \
         TEMPLATE template0"
    );
    Err(Error::QueryBuilderError(why.into()))
}

/// Tables of every kind are transactional here.
pub(super) async fn check_tables(_: &mut AsyncPgConnection) -> QueryResult<()> {
    Ok(())
}

/// Lets the server give up what the store will not wait for, a little before: otherwise it would still be done, and
/// nobody know.
pub(super) async fn limit_statements(connection: &mut AsyncPgConnection, limit: Duration) -> QueryResult<()> {
    let limit = (limit.as_millis() * 9 / 10).max(1);
    connection.batch_execute(&format!("SET statement_timeout = {limit}")).await
}

/// Lets the rest of a transaction look up by index, read what waits in order, and stop early. The planner would rather read
/// or sort a whole table when it takes a queue for short that was short when it last looked, or was never looked at. And it
/// would plan each execution again, which takes longer than what is planned, because an array of one element promises less
/// work than one of unknown length.
pub(super) const PLAN_FOR_QUEUES: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_nestloop = on; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
     SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// Ends what a handler may have done to the transaction it was given.
pub(super) const AFTER_HANDLER: &str = "RELEASE SAVEPOINT jaas_handler; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
     SET LOCAL plan_cache_mode = force_generic_plan";

/// The same for all that a connection does.
pub(super) async fn plan_for_queues(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection.batch_execute(&PLAN_FOR_QUEUES.replace(" LOCAL", "")).await
}

/// Lets a connection that stores events in groups join what it has inserted with what was given to it, which no index helps
/// with: by loops that would take as many steps as the group has events, squared.
pub(super) async fn plan_for_groups(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection.batch_execute("SET enable_hashjoin = on; SET enable_nestloop = off").await
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

/// Whether a statement was refused because the server can only be read now. Nothing was done, and another server is behind
/// the address now, or soon.
pub(super) fn is_read_only(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))
}

/// Fails when the server can only be read now.
pub(super) async fn check_writable(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    use diesel::dsl::sql;
    let read_only: String = diesel::select(sql::<Text>("current_setting('transaction_read_only')"))
        .get_result(connection)
        .await?;
    if read_only == "off" {
        return Ok(());
    }
    let why = Box::new("the server can only be read".to_owned());
    Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, why))
}

/// Whether the connection is of no use after this error.
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
