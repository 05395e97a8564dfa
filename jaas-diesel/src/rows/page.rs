//! Pages of rows.

use jaas_core::store::{Page, PageRequest, RowId, StoreError};

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
