//! Rows, and pages of rows.

use std::fmt;

/// A row of a store. Rows are numbered in the order in which they were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RowId(i64);

impl RowId {
    /// The row with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The row's number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Lists the rows after this one; from the first row when `None`.
    pub after: Option<RowId>,
    /// The maximum number of rows, 1 to 1000. Defaults to 100.
    pub limit: u32,
    /// Whether the newest row comes first and older rows follow. Defaults to `false`.
    pub newest_first: bool,
}

impl PageRequest {
    /// The largest page.
    pub const MAX_LIMIT: u32 = 1000;

    /// The first page with the default number of rows.
    pub const fn first() -> Self {
        Self { after: None, limit: 100, newest_first: false }
    }

    /// The first page, newest row first, with the default number of rows.
    pub const fn newest() -> Self {
        Self { newest_first: true, ..Self::first() }
    }

    /// Whether a row comes after the start of the page.
    pub fn follows(self, id: RowId) -> bool {
        self.after.is_none_or(|after| if self.newest_first { id < after } else { id > after })
    }

    /// The limit within its bounds.
    pub fn clamped_limit(self) -> usize {
        self.limit.clamp(1, Self::MAX_LIMIT) as usize
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first()
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page. A page that is not full may have one.
    pub next: Option<RowId>,
}

impl<T> Page<T> {
    /// The page without rows, which is the last.
    pub const fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }

    /// Cuts the page that was asked for from all rows, which are in the order of their ids.
    ///
    /// ```
    /// use jaas_core::store::{Page, PageRequest, RowId};
    ///
    /// let rows = [1, 2, 5, 7].map(RowId::new);
    /// let asked = PageRequest { after: Some(RowId::new(7)), limit: 2, newest_first: true };
    /// let page = Page::cut(rows, asked, |id| *id);
    /// assert_eq!(page.items, [5, 2].map(RowId::new));
    /// assert_eq!(page.next, Some(RowId::new(2)), "there is one more");
    /// ```
    pub fn cut(
        rows: impl IntoIterator<Item = T, IntoIter: DoubleEndedIterator>,
        page: PageRequest,
        id: impl Fn(&T) -> RowId,
    ) -> Self {
        let limit = page.clamped_limit();
        let matching = rows.into_iter().filter(|row| page.follows(id(row)));
        let rows = if page.newest_first {
            matching.rev().take(limit + 1).collect()
        } else {
            matching.take(limit + 1).collect()
        };
        Self::from_rows(rows, limit, id)
    }

    /// The same page of what each row is converted to.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }

    /// Cuts a page from rows that were fetched with a limit of one more than the page holds.
    pub fn from_rows(mut rows: Vec<T>, limit: usize, id: impl Fn(&T) -> RowId) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        Self { items: rows, next }
    }
}
