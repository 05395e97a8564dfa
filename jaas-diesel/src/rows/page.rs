//! Pages of rows.

use jaas_core::store::{Page, PageRequest, RowId, StoreError};

/// The ids at which a page looks, in its order: those behind `after`, up to and with `last`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) newest_first: bool,
    pub(crate) after: i64,
    pub(crate) last: i64,
}

impl Span {
    pub(crate) fn of(page: PageRequest, last: Option<i64>) -> Self {
        let (first, end) = if page.newest_first { (i64::MAX, i64::MIN) } else { (i64::MIN, i64::MAX) };
        let after = page.after.map_or(first, RowId::get);
        Self { newest_first: page.newest_first, after, last: last.unwrap_or(end) }
    }

    /// The least and the greatest of these ids.
    pub(crate) fn ends(self) -> (i64, i64) {
        if self.newest_first {
            (self.last, self.after.saturating_sub(1))
        } else {
            (self.after.saturating_add(1), self.last)
        }
    }
}

/// A page of decoded rows. One row more than the page holds was read, which shows whether another page follows.
pub(crate) fn page_of<R, T>(
    rows: Vec<R>,
    page: PageRequest,
    id: impl Fn(&T) -> RowId,
) -> Result<Page<T>, StoreError>
where
    T: TryFrom<R>,
    StoreError: From<T::Error>,
{
    let rows = rows.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
    Ok(Page::from_rows(rows, page.clamped_limit(), id))
}

/// The page, which goes on behind the last candidate that was looked at if it ends before.
pub(crate) fn bounded<T>(page: Page<T>, bound: Option<i64>) -> Page<T> {
    Page { next: page.next.or(bound.map(RowId::new)), ..page }
}

/// The page with only those rows that were changed.
pub(crate) fn changed(rows: Vec<(RowId, bool)>, page: PageRequest) -> Page<RowId> {
    let Page { items, next, .. } = Page::from_rows(rows, page.clamped_limit(), |(id, _)| *id);
    Page { items: items.into_iter().filter(|(_, changed)| *changed).map(|(id, _)| id).collect(), next }
}
