//! Discards events.

use super::target::{Bulk, Target, batch, gone};
use crate::console::failure::Failure;
use crate::console::visit::{Shown, Visit};

const DISCARD: Bulk = Bulk {
    act: "discard",
    verb: "Discard",
    done: "discarded",
    meaning: "The events do not run again, unless they are replayed. Their bodies stay until they are purged.",
};

pub(crate) async fn confirm(visit: Visit) -> Result<Shown, Failure> {
    DISCARD.confirm(visit).await
}

pub(crate) async fn act(visit: Visit) -> Result<Shown, Failure> {
    let (store, note) = (&visit.desk.store, visit.note()?);
    let target = Target::of(&visit, &visit.form).await?.ok_or_else(gone)?;
    match &target {
        Target::Selected { rows, .. } => {
            let mut results = Vec::new();
            for row in rows {
                results.push((*row, store.discard(*row, &note, visit.now).await));
            }
            DISCARD.of_selection(&visit, &target, results)
        }
        Target::Group { key, .. } => {
            let query = batch(key.clone(), visit.form.row("after")?);
            let page = store.discard_matching(&query, &note, visit.now).await?;
            DISCARD.of_batch(&visit, &target, page.items.len() as u64, page.next).await
        }
    }
}
