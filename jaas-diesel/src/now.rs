//! The current time as an expression in a query.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Nullable};
use jaas_core::Timestamp;

/// The current time, in ms since the epoch. It is the database's time unless the caller gives one, so that processes whose
/// clocks differ agree on when a lease ends.
#[derive(Debug, Clone, Copy, QueryId)]
pub(crate) struct Now {
    given: Option<i64>,
}

impl Now {
    pub(crate) fn given(now: Timestamp) -> Self {
        Self { given: Some(now.as_millis()) }
    }

    /// Whether the caller gave the time.
    pub(crate) fn is_given(self) -> bool {
        self.given.is_some()
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn of_the_database() -> Self {
        Self { given: None }
    }
}

impl Expression for Now {
    type SqlType = BigInt;
}

impl<QS> SelectableExpression<QS> for Now {}

impl<QS> AppearsOnTable<QS> for Now {}

impl<GB> ValidGrouping<GB> for Now {
    type IsAggregate = is_aggregate::Never;
}

/// The clock of a database.
pub(crate) trait DatabaseClock: Backend {
    /// The SQL expression for the current time in ms.
    const NOW: &'static str;
}

#[cfg(feature = "sqlite")]
impl DatabaseClock for diesel::sqlite::Sqlite {
    // Never evaluated: all processes of one file are on one machine, so the store always gives the time.
    const NOW: &'static str = "0";
}

#[cfg(feature = "postgres")]
impl DatabaseClock for diesel::pg::Pg {
    // The time of the statement, not of the transaction: the handler in it may have taken long.
    const NOW: &'static str = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000)::BIGINT";
}

#[cfg(feature = "mysql")]
impl DatabaseClock for diesel::mysql::Mysql {
    // In UTC, because the time zone of a connection can be any.
    const NOW: &'static str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000";
}

impl<DB> QueryFragment<DB> for Now
where
    DB: DatabaseClock,
    Option<i64>: ToSql<Nullable<BigInt>, DB>,
    DB: diesel::sql_types::HasSqlType<BigInt>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("COALESCE(");
        out.push_bind_param::<Nullable<BigInt>, _>(&self.given)?;
        out.push_sql(", ");
        out.push_sql(DB::NOW);
        out.push_sql(")");
        Ok(())
    }
}
