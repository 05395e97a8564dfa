//! How values are stored in columns, and decoded from them.

use std::time::Duration;

use diesel::backend::Backend;
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;
use jaas_core::Body;
use jaas_core::store::StoreError;
use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::telemetry::TraceContext;

use crate::error::corrupt;

/// The bytes of a body in a binary column, shared with the request that delivered them.
#[derive(Debug, Clone, AsExpression)]
#[diesel(sql_type = Binary)]
pub(crate) struct Blob(pub(crate) Body);

impl<DB: Backend> ToSql<Binary, DB> for Blob
where
    [u8]: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <[u8]>::to_sql(&self.0, out)
    }
}

/// The text in a form that every database can store: PostgreSQL rejects NUL, and columns that people read are bounded.
pub(crate) fn text(text: &str) -> String {
    const MAX_CHARS: usize = 8000;
    text.chars().take(MAX_CHARS).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The text, truncated to what fits into an index. The body of the event still has all of it.
pub(crate) fn indexed(mut text: String) -> String {
    let mut end = text.len().min(MAX_INDEXED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// The names of handlers in a `completed` column.
pub(super) fn names(completed: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in completed.lines() {
        // A name is there twice when the reply to its first completion was lost and the completion was repeated.
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

pub(super) fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

/// The trace context in its column. Text that is not a trace context is ignored, so that it does not stop the event.
pub(super) fn trace(column: Option<&str>) -> Option<TraceContext> {
    column?.parse().ok()
}

/// The error for a row with a name that this version does not know.
pub(crate) fn unknown(what: &str, id: i64, name: &str) -> StoreError {
    corrupt(format!(
        "{what} {id} is {name:?}, which this version of jaas-diesel does not know; update jaas-diesel"
    ))
}

/// The time from `now` until `at`; zero if `at` has passed.
pub(crate) fn since(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}
