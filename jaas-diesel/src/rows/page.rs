//! Pages of rows.

use jaas_core::store::{Page, PageRequest, RowId, StoreError};

/// Cuts a page out of rows read with one more than it holds.
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

/// The rows of a page that were changed.
pub(crate) fn changed(rows: Vec<(RowId, bool)>, page: PageRequest) -> Page<RowId> {
    let Page { items, next, .. } = Page::from_rows(rows, page.clamped_limit(), |(id, _)| *id);
    Page { items: items.into_iter().filter(|(_, changed)| *changed).map(|(id, _)| id).collect(), next }
}
