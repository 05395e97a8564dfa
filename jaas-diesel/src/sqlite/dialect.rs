//! What is particular to SQLite in the shared queries.

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::connection::SimpleConnection as _;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::query_dsl::methods::{ExecuteDsl, LoadQuery};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryDsl as _, QueryResult, SqliteConnection};

use crate::migrations::{Script, scripts};
use crate::rows::{Inserted, NewEvent};

/// What the shared queries run on.
pub(super) type Connection = SqliteConnection;

pub(super) const SCRIPTS: &[Script] = scripts!("sqlite");

/// Diesel's methods as the shared queries call them. They block, on the thread that owns the connection, and what
/// they answer is ready.
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

/// What a shared query answers. It waits for nothing here, so asking once is enough.
pub(super) fn answer<T, E: From<diesel::result::Error>>(
    query: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match pin!(query).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => {
            Err(diesel::result::Error::QueryBuilderError("a query on SQLite waited for something".into())
                .into())
        }
    }
}

/// Does all of this or nothing. Here the writing thread has begun a transaction already.
macro_rules! atomically {
    ($connection:ident, $body:block) => {
        async {
            let $connection = &mut *$connection;
            $body
        }
        .await
    };
}

/// Does this while no other process migrates.
macro_rules! exclusively {
    ($connection:ident, $body:block) => {
        $connection.exclusive_transaction(|$connection| {
            $crate::sqlite::dialect::answer(async {
                $crate::sqlite::dialect::create_migrations($connection)?;
                $body
            })
        })
    };
}

/// Asks the reading connection or the writing thread; what is captured is cloned.
macro_rules! asked {
    (read, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let read = move |$connection: &mut diesel::SqliteConnection| $crate::sqlite::dialect::answer($query);
        $store.read($operation, read).await
    }};
    (write, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let write = move |$connection: &mut diesel::SqliteConnection| {
            $crate::sqlite::dialect::answer($query).map(Ok)
        };
        $store.write($operation, $crate::sqlite::writer::Wake::Nobody, write).await
    }};
}

/// The one writer needs no row locks.
macro_rules! locked {
    ($query:expr) => {
        $query
    };
}

/// Claims the first rows of a query.
macro_rules! claim_first {
    ($connection:expr, $first:expr, $worker:expr, $until:expr) => {
        async {
            let first: Vec<i64> = $first.load($connection).await?;
            diesel::update(jaas_events::table.filter(jaas_events::id.eq_any(first)))
                .set((
                    jaas_events::state.eq(RUNNING),
                    jaas_events::fence.eq(jaas_events::fence + 1),
                    jaas_events::worker.eq($worker),
                    jaas_events::leased_until.eq($until),
                ))
                .returning(ClaimRow::as_returning())
                .load($connection)
                .await
        }
        .await
    };
}

/// The columns that tell that a row exists already.
macro_rules! conflict_target {
    ($($column:expr),*) => {
        ($($column),*)
    };
}

pub(super) use {
    asked, atomically, claim_first, conflict_target, exclusively, locked, locked as skip_locked,
};

/// Inserts events; answers those that were new, at their places.
pub(super) async fn insert_new(
    connection: &mut SqliteConnection,
    events: &[&NewEvent],
    _: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    let mut inserted = Vec::with_capacity(events.len());
    for event in events {
        // One by one: this statement is prepared once, and no wire lies between.
        let rows = InsertEvent(event).execute(connection).await?;
        inserted.push((rows == 1).then(Inserted::default));
    }
    Ok(inserted)
}

/// An insert whose text is not made anew for each event.
struct InsertEvent<'a>(&'a NewEvent);

impl QueryId for InsertEvent<'_> {
    type QueryId = InsertEvent<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for InsertEvent<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self(event) = self;
        out.push_sql(
            "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, occurred_at, received_at, \
             body, body_hash, trace_context, state, completed, due_at) VALUES (",
        );
        for text in [&event.endpoint, &event.idempotency_key, &event.event_type] {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Nullable<Text>, _>(&event.session_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&event.fqn)?;
        for time in [&event.occurred_at, &event.received_at] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(time)?;
        }
        for bytes in [&event.body, &event.body_hash] {
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(bytes)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&event.trace_context)?;
        out.push_sql(", 'waiting', '', ");
        out.push_bind_param::<BigInt, _>(&event.received_at)?;
        out.push_sql(") ON CONFLICT (endpoint, idempotency_key) DO NOTHING");
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for InsertEvent<'_> {}

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

/// Whether the list of migrations exists.
pub(super) async fn is_migrated(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let tables: i64 = sqlite_master::table.find("jaas_migrations").count().get_result(connection).await?;
    Ok(tables > 0)
}
