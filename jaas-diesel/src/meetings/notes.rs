//! What events say besides who is where, as rows that are inserted once and never changed.

use diesel::QueryResult;
use jaas_core::meetings::Mark;
use jaas_core::{Delivery, IdempotencyKey, SessionId, Timestamp};

use async_trait::async_trait;

use super::rows::indexed;

/// A table of notes. Each begins with the session, the key of the event and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoteTable {
    pub(crate) name: &'static str,
    /// Its other columns.
    pub(crate) columns: &'static str,
}

/// The tables of notes.
pub(crate) const MARKS: NoteTable = NoteTable { name: "jaas_marks", columns: "kind" };

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Text(Option<String>),
}

/// The rows of one event for one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    pub(crate) table: NoteTable,
    pub(crate) session: String,
    pub(crate) key: String,
    pub(crate) at: i64,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Notes {
    fn new(
        table: NoteTable,
        (session, at): (&SessionId, Timestamp),
        key: &IdempotencyKey,
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        let (session, key) = (indexed(session.as_str()), indexed(key.as_str()));
        Self { table, session, key, at: at.as_millis(), rows }
    }

    /// What an event says.
    pub(crate) fn of(delivery: &Delivery) -> Vec<Self> {
        let key = &delivery.envelope.idempotency_key;
        let mut all = Vec::new();
        if let Some(mark) = Mark::of(delivery) {
            let kind = Cell::Text(Some(mark.kind.as_str().to_owned()));
            all.push(Self::new(MARKS, (&mark.session, mark.at), key, vec![vec![kind]]));
        }
        all
    }
}

/// Statements of each backend on the tables of notes.
#[async_trait]
pub trait NoteStatements: Send {
    /// Inserts rows, unless they are there: one statement for each thousand.
    async fn note(&mut self, notes: &Notes) -> QueryResult<()>;
}
