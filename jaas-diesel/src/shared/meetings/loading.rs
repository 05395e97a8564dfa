//! Queries for whole rows, and the calls that load them.
//!
//! The rows of a table are loaded by one call, which takes a boxed query: for each call that loads rows the compiler proves of
//! every column that it can be read, and for a table as wide as these that takes half a second.

use std::pin::Pin;

use diesel::QueryResult;
use diesel::helper_types::{AsSelect, IntoBoxed, Select};
use diesel::prelude::{QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;

use super::{Backend, Connection};
use crate::meetings::rows::{EdgeRow, MarkRow, SittingRow, StayRow};
use crate::meetings::schema::{jaas_edges, jaas_marks, jaas_sittings, jaas_stays};

/// Rows on their way.
type Loading<'a, Row> = Pin<Box<dyn Future<Output = QueryResult<Vec<Row>>> + Send + 'a>>;

/// Defines the query for all rows of a table, which callers narrow, and the call that loads it.
macro_rules! rows {
    ($($table:ident: $Row:ident, $Query:ident, $all:ident, $load:ident;)*) => {$(
        type $Query<'a> = IntoBoxed<'a, Select<$table::table, AsSelect<$Row, Backend>>, Backend>;

        pub(super) fn $all<'a>() -> $Query<'a> {
            $table::table.select($Row::as_select()).into_boxed()
        }

        pub(super) fn $load<'a>(connection: &'a mut Connection, query: $Query<'a>) -> Loading<'a, $Row> {
            Box::pin(query.load(connection))
        }
    )*};
}

rows! {
    jaas_edges: EdgeRow, Edges, all_edges, load_edges;
    jaas_marks: MarkRow, Marks, all_marks, load_marks;
    jaas_sittings: SittingRow, Sittings, all_sittings, load_sittings;
    jaas_stays: StayRow, Stays, all_stays, load_stays;
}
