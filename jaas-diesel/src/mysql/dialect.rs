//! What differs in MySQL and MariaDB for the shared files: transactions, locks, and the meaning of errors.

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

/// The connection that the shared files run on.
pub(super) type Connection = AsyncMysqlConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("mysql");

/// Whether an insert can claim its event.
pub(super) const HANDS_OVER: bool = false;

/// Makes the server use the index of states, and read it in its order.
pub(super) fn of_state(state: &'static str) -> String {
    format!("FORCE INDEX (jaas_events_by_state) WHERE state = '{state}'")
}

/// Whether a scan of `in_index!` ends at the end of the span.
pub(super) const ENDS_IN_INDEX: bool = true;

/// Whether a column has this value and the id is in this span, for the index of the two. No row has the second value, which is
/// too long for the column: with a single value the optimizer prefers to read the table in the order of its ids until enough
/// rows match.
macro_rules! in_index {
    ($table:ident, $column:ident, $value:expr, $span:expr) => {{
        use diesel::BoolExpressionMethods as _;
        use $crate::schema::$table::dsl;
        let (value, span): (String, $crate::rows::Span) = ($value, $span);
        let (least, most) = span.ends();
        dsl::$column.eq_any(vec![value, "-".repeat(256)]).and(dsl::id.between(least, most))
    }};
}
pub(super) use in_index;

/// Runs the body in a transaction.
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

/// Runs the body while no other process migrates. MySQL cannot roll back statements that change tables.
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

/// Any unique key: MySQL does not let a statement choose the columns by which an insert finds an existing row.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        diesel::dsl::DuplicatedKeys
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

type Transactions = <AsyncMysqlConnection as AsyncConnection>::TransactionManager;

/// Begins a transaction that does not lock the gaps between rows, because these locks would delay inserts. Inside a
/// transaction, it begins an inner one.
pub(super) async fn begin(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN";
    if Transactions::transaction_manager_status_mut(connection).transaction_depth()?.is_some() {
        return Transactions::begin_transaction(connection).await;
    }
    Transactions::begin_transaction_sql(connection, BEGIN).await
}

/// Begins the transaction of a handler. It is `READ COMMITTED`, because the head of a queue in an older snapshot would be the
/// wrong event.
pub(super) const BEGIN_FOR_HANDLER: &str =
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; SAVEPOINT jaas_handler";

/// Runs after a handler: fails if the handler has ended its transaction.
pub(super) const AFTER_HANDLER: &str = "RELEASE SAVEPOINT jaas_handler";

/// Commits after success, and rolls back after an error.
pub(super) async fn end<T>(connection: &mut AsyncMysqlConnection, result: QueryResult<T>) -> QueryResult<T> {
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
pub(super) async fn lock_migrations(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const GET_LOCK: &str = "GET_LOCK(CONCAT('jaas_migrations.', MD5(DATABASE())), 60)";
    let locked: Option<i64> =
        diesel::select(sql::<Nullable<BigInt>>(GET_LOCK)).get_result(connection).await?;
    if locked != Some(1) {
        let why = "another process has been migrating these tables for more than 60 s; wait until it has finished, and start again";
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

/// Whether the table of migrations exists.
pub(super) async fn is_migrated(connection: &mut AsyncMysqlConnection) -> QueryResult<bool> {
    const TABLES: &str = "(SELECT COUNT(*) FROM information_schema.tables \
                          WHERE table_schema = DATABASE() AND table_name = 'jaas_migrations')";
    let tables: i64 = diesel::select(sql::<BigInt>(TABLES)).get_result(connection).await?;
    Ok(tables > 0)
}

/// Does nothing: the statements name their indexes.
pub(super) async fn plan_for_queues(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}

/// Does nothing: the insert of a group joins no tables.
pub(super) async fn plan_for_groups(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
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
            about.message().contains("try restarting transaction")
        }
        _ => false,
    }
}

/// Whether the server refused a statement because it is read-only now, or has left its cluster. Nothing was changed, and
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

/// Whether the connection cannot be used after this error. The driver's own errors have a text, but no kind.
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
