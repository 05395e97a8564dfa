//! The statements on the tables of notes.

use async_trait::async_trait;
use diesel::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl as _;

use super::{Backend, Connection};
use crate::meetings::dialect::Dialect;
use crate::meetings::notes::{Cell, NoteStatements, Notes};

/// How many rows one statement inserts at most: SQLite binds 32766 values.
const ROWS: usize = 1000;

#[async_trait]
impl NoteStatements for Connection {
    async fn note(&mut self, notes: &Notes) -> QueryResult<()> {
        for rows in notes.rows.chunks(ROWS) {
            InsertNotes { notes, rows }.execute(self).await?;
        }
        Ok(())
    }
}

/// Inserts rows unless they are there.
struct InsertNotes<'a> {
    notes: &'a Notes,
    rows: &'a [Vec<Cell>],
}

impl QueryId for InsertNotes<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Backend> for InsertNotes<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if self.rows.len() > 1 {
            // Each number of rows is another text.
            out.unsafe_to_cache_prepared();
        }
        let Notes { table, session, key, at, .. } = self.notes;
        out.push_sql(Backend::INSERT_NEW);
        for sql in
            [" INTO ", table.name, " (session_id, event_key, happened_at, ", table.columns, ") VALUES "]
        {
            out.push_sql(sql);
        }
        for (index, row) in self.rows.iter().enumerate() {
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(session)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(at)?;
            for cell in row {
                out.push_sql(", ");
                match cell {
                    Cell::Text(text) => out.push_bind_param::<Nullable<Text>, _>(text)?,
                }
            }
            out.push_sql(")");
        }
        out.push_sql(Backend::UNLESS_KNOWN);
        Ok(())
    }
}
