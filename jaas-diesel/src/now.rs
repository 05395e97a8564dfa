//! The time in a query.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Nullable};
use jaas_core::Timestamp;

/// The time now, in ms since the epoch: the database's unless one is given, so that processes whose clocks differ
/// agree on when a lease ends.
#[derive(Debug, Clone, Copy, QueryId)]
pub(crate) struct Now {
    given: Option<i64>,
}

impl Now {
    pub(crate) fn given(now: Timestamp) -> Self {
        Self { given: Some(now.as_millis()) }
    }

    /// Whether it is the caller's time.
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

/// How a database tells the time in ms.
pub(crate) trait TellsTime: Backend {
    const NOW: &'static str;
}

#[cfg(feature = "sqlite")]
impl TellsTime for diesel::sqlite::Sqlite {
    // Never asked for: all processes of one file are on one machine and share its clock.
    const NOW: &'static str = "0";
}

#[cfg(feature = "postgres")]
impl TellsTime for diesel::pg::Pg {
    // Of the statement and not of the transaction, in which a handler may have taken long.
    const NOW: &'static str = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000)::BIGINT";
}

#[cfg(feature = "mysql")]
impl TellsTime for diesel::mysql::Mysql {
    // Whatever the connection's time zone is.
    const NOW: &'static str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000";
}

impl<DB> QueryFragment<DB> for Now
where
    DB: TellsTime,
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
