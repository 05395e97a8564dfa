//! What differs in SQLite for the shared files: diesel's blocking methods, transactions and locks.

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::connection::SimpleConnection as _;
use diesel::query_dsl::methods::{ExecuteDsl, LoadQuery};
use diesel::{QueryDsl as _, QueryResult, SqliteConnection};

use crate::migrations::{Script, scripts};

/// The connection that the shared files run on. It blocks.
pub(super) type Connection = SqliteConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("sqlite");

/// Diesel's methods with the signatures of diesel-async, as the shared files call them. They block the thread that owns the
/// connection, and return a future that is ready.
pub(super) trait RunQueryDsl: Sized {
    fn execute(self, connection: &mut SqliteConnection) -> Ready<QueryResult<usize>>
    where
        Self: ExecuteDsl<SqliteConnection>,
    {
        ready(ExecuteDsl::execute(self, connection))
    }

    fn load<'query, U>(self, connection: &mut SqliteConnection) -> Ready<QueryResult<Vec<U>>>
    where
        Self: LoadQuery<'query, SqliteConnection, U>,
    {
        ready(self.internal_load(connection).and_then(Iterator::collect))
    }

    fn get_result<'query, U>(self, connection: &mut SqliteConnection) -> Ready<QueryResult<U>>
    where
        Self: LoadQuery<'query, SqliteConnection, U>,
    {
        let first = || self.internal_load(connection)?.next().unwrap_or(Err(diesel::NotFound));
        ready(first())
    }
}

impl<T> RunQueryDsl for T {}

/// Runs a shared query. In SQLite no future in it waits, so one poll is enough.
pub(super) fn polled<T, E: From<diesel::result::Error>>(
    query: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match pin!(query).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(diesel::result::Error::QueryBuilderError(
            "a query on SQLite waited for a future, which is a bug in jaas-diesel".into(),
        )
        .into()),
    }
}

/// Makes SQLite use the index of states, and read it in its order.
pub(super) fn of_state(state: &'static str) -> String {
    format!("INDEXED BY jaas_events_by_state WHERE state = '{state}'")
}

/// Whether a scan of `in_index!` ends at the end of the span.
pub(super) const ENDS_IN_INDEX: bool = true;

/// Whether a column has this value and the id is in this span, for the index of the two.
macro_rules! in_index {
    ($table:ident, $column:ident, $value:expr, $span:expr) => {{
        use diesel::BoolExpressionMethods as _;
        use $crate::schema::$table::dsl;
        let (value, span): (String, $crate::rows::Span) = ($value, $span);
        let (least, most) = span.ends();
        dsl::$column.eq(value).and(dsl::id.between(least, most))
    }};
}
pub(super) use in_index;

/// Runs the body in a transaction, which the writing thread has already begun.
macro_rules! atomically {
    ($connection:ident, $body:block) => {
        async {
            let $connection = &mut *$connection;
            $body
        }
        .await
    };
}

/// Runs the body in a transaction inside that of the writing thread.
macro_rules! inside {
    ($connection:ident, $body:block) => {
        diesel::Connection::transaction($connection, |$connection| {
            $crate::sqlite::dialect::polled(async { $body })
        })
    };
}

/// Runs the body in a transaction while no other process migrates.
macro_rules! exclusively {
    ($connection:ident, $body:block) => {
        $connection.exclusive_transaction(|$connection| {
            $crate::sqlite::dialect::polled(async {
                $crate::sqlite::dialect::create_migrations($connection)?;
                $body
            })
        })
    };
}

/// Returns the query as it is: with one writer, rows need no locks.
macro_rules! locked {
    ($query:expr) => {
        $query
    };
}

/// The same, of those that another claim has not locked.
macro_rules! locked_unless_taken {
    ($query:expr) => {
        $query
    };
}

/// Runs a query in the transaction of a handler. What it needs is moved.
macro_rules! within {
    ($tx:expr, $connection:ident => $query:expr) => {
        $tx.spawn_blocking(move |$connection| $crate::sqlite::dialect::polled($query)).await
    };
}

pub(super) use {locked_unless_taken, within};

/// The unique columns by which an insert finds an existing row.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        ($($column),*)
    };
}

pub(super) use {atomically, conflict_target, exclusively, inside, locked};

/// Does nothing: each connection is set up when it is opened.
pub(super) async fn prepare(_: &mut SqliteConnection) -> QueryResult<()> {
    Ok(())
}

pub(super) async fn batch_execute(connection: &mut SqliteConnection, sql: &str) -> QueryResult<()> {
    connection.batch_execute(sql)
}

pub(super) fn create_migrations(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute(
        "CREATE TABLE IF NOT EXISTS jaas_migrations (version TEXT PRIMARY KEY NOT NULL, applied_at BIGINT NOT NULL)",
    )
}

diesel::table! {
    sqlite_master (name) {
        name -> Text,
    }
}

/// Whether the table of migrations exists.
pub(super) async fn is_migrated(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let tables: i64 = sqlite_master::table.find("jaas_migrations").count().get_result(connection).await?;
    Ok(tables > 0)
}
