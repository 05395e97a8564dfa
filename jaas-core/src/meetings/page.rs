//! Pages of lists that are sorted by time.

use std::fmt;

use crate::timestamp::Timestamp;

/// A place in a list that is sorted by time: behind one of its items.
///
/// Its [`Display`](fmt::Display) is short text for a link, which [`parse`](Self::parse) reads.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_core::meetings::TimeCursor;
///
/// let cursor = TimeCursor::new(Timestamp::from_millis(1_795_420_800_000), "7f4c1a52");
/// assert_eq!(cursor.to_string(), "1795420800000.7f4c1a52");
/// assert_eq!(TimeCursor::parse("1795420800000.7f4c1a52"), Some(cursor));
/// assert_eq!(TimeCursor::parse("yesterday"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeCursor {
    at: Timestamp,
    key: String,
}

impl TimeCursor {
    /// Behind the item of this time with this key, which distinguishes items of the same time.
    pub fn new(at: Timestamp, key: impl Into<String>) -> Self {
        Self { at, key: key.into() }
    }

    /// The time.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Reads a cursor from its text; `None` if the text is not that of a cursor.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, key) = text.split_once('.')?;
        Some(Self::new(Timestamp::from_millis(at.parse().ok()?), key))
    }
}

impl fmt::Display for TimeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_millis(), self.key)
    }
}

/// Which page of a list that is sorted by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimePageRequest {
    /// Lists what follows this place; from the beginning when `None`.
    pub after: Option<TimeCursor>,
    /// The maximum number of items, 1 to 1000. Defaults to 100.
    pub limit: u32,
}

impl TimePageRequest {
    /// The first page with the default number of items.
    pub const fn first() -> Self {
        Self { after: None, limit: 100 }
    }

    /// The limit within its bounds.
    pub fn clamped_limit(&self) -> usize {
        self.limit.clamp(1, 1000) as usize
    }
}

impl Default for TimePageRequest {
    fn default() -> Self {
        Self::first()
    }
}

/// One page of a list that is sorted by time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TimePage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<TimeCursor>,
}

impl<T> TimePage<T> {
    /// Cuts a page from items that were fetched with a limit of one more than the page holds.
    pub fn from_items(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> TimeCursor) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }

    /// The same page with other items.
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> TimePage<U> {
        TimePage { items: self.items.into_iter().map(item).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_finds_back_from_its_text() {
        for (at, key) in [(0, ""), (-5, "a.b"), (i64::MAX, "7f4c1a52-6a63"), (i64::MIN, "..")] {
            let cursor = TimeCursor::new(Timestamp::from_millis(at), key);
            assert_eq!(TimeCursor::parse(&cursor.to_string()), Some(cursor));
        }
        for text in ["", "1", ".", "x.1", "1,2"] {
            assert_eq!(TimeCursor::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_page_knows_whether_another_follows() {
        let cursor = |number: &i64| TimeCursor::new(Timestamp::from_millis(*number), "");
        let page = TimePage::from_items(vec![1, 2, 3], 2, cursor);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(cursor(&2))));
        assert_eq!(TimePage::from_items(vec![1, 2], 2, cursor).next, None);
    }
}
