//! Values as the columns hold them.

use std::time::Duration;

use jaas_core::store::StoreError;
use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::telemetry::TraceContext;

use crate::error::corrupt;

/// Text as every database can keep it: PostgreSQL has no NUL, and the columns for people are bounded.
pub(crate) fn text(text: &str) -> String {
    const MAX_CHARS: usize = 8000;
    text.chars().take(MAX_CHARS).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// As much of the text as an index takes. The body has all of it.
pub(crate) fn indexed(mut text: String) -> String {
    let mut end = text.len().min(MAX_INDEXED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// The names in a `completed` column.
pub(super) fn names(completed: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in completed.lines() {
        // Twice when the answer to the first completion was lost.
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

pub(super) fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

/// The trace in its column. A text there that is not a trace must not hold up the event.
pub(super) fn trace(column: Option<&str>) -> Option<TraceContext> {
    column?.parse().ok()
}

pub(crate) fn unknown(what: &str, id: i64, name: &str) -> StoreError {
    corrupt(format!(
        "{what} {id} is {name:?}, which this version of jaas-diesel does not know; update jaas-diesel"
    ))
}

/// How long it is from one time to another.
pub(crate) fn since(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}
