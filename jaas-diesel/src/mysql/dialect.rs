//! What is particular to MySQL and MariaDB in the shared queries.

use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::{
    AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection as _, TransactionManager as _,
};

pub(super) use diesel_async::RunQueryDsl;

pub(super) use super::session::{
    check_database, check_durability, check_session, check_tables, check_writable, lift_limits,
    limit_statements, prepare,
};
use crate::migrations::{Script, scripts};

/// What the shared queries run on.
pub(super) type Connection = AsyncMysqlConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("mysql");

/// Whether events can be claimed with their insert.
pub(super) const HANDS_OVER: bool = false;

/// Has events of a state looked up by the index of states, in its order.
pub(super) fn of_state(state: &'static str) -> String {
    format!("FORCE INDEX (jaas_events_by_state) WHERE state = '{state}'")
}

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

/// What tells that a row exists already: any unique key.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        diesel::dsl::DuplicatedKeys
    };
}

pub(super) use {atomically, atomically as inside, conflict_target, exclusively, locked};

type Transactions = <AsyncMysqlConnection as AsyncConnection>::TransactionManager;

/// Begins a transaction that locks no gaps between rows: those would hold up inserts. In a transaction it begins one
/// inside it.
pub(super) async fn begin(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN";
    if Transactions::transaction_manager_status_mut(connection).transaction_depth()?.is_some() {
        return Transactions::begin_transaction(connection).await;
    }
    Transactions::begin_transaction_sql(connection, BEGIN).await
}

/// Begins the transaction of a handler. Each statement sees what was committed before it: a head of a queue that was read
/// from an older snapshot would be the wrong one.
pub(super) const BEGIN_FOR_HANDLER: &str =
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; SAVEPOINT jaas_handler";

/// Ends what a handler may have done to the transaction it was given.
pub(super) const AFTER_HANDLER: &str = "RELEASE SAVEPOINT jaas_handler";

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

/// Nothing needs to be planned otherwise.
pub(super) async fn plan_for_queues(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}

/// Nothing is joined when events are stored.
pub(super) async fn plan_for_groups(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
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

/// Whether a statement was refused because the server can only be read now, or has left its cluster. Nothing was done, and
/// another server is behind the address now, or soon.
pub(super) fn is_read_only(error: &Error) -> bool {
    const READ_ONLY: [&str; 7] = [
        // Of --read-only, --super-read-only and --innodb-read-only.
        "read-only option",
        "Running in read-only mode",
        "is read only",
        "is in read only mode",
        "currently in offline mode",
        // Members of a cluster of Galera, and of a replication group, that cannot reach the others.
        "WSREP has not yet prepared node",
        "Error on observer while running replication hook",
    ];
    match error {
        Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => true,
        Error::DatabaseError(DatabaseErrorKind::Unknown, about) => {
            READ_ONLY.iter().any(|text| about.message().contains(text))
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
        error if is_read_only(error) => true,
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
