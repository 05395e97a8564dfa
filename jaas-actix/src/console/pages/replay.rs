//! Runs events again.

use super::target::{Bulk, Target, batch, gone};
use crate::console::failure::Failure;
use crate::console::visit::{Shown, Visit};

const REPLAY: Bulk = Bulk {
    act: "replay",
    verb: "Replay",
    done: "replayed",
    meaning: "Each event waits again as if it were new, with its counts at zero. Handlers of a dead or discarded event \
              that had succeeded do not run again; those of a done event do.",
};

pub(crate) async fn confirm(visit: Visit) -> Result<Shown, Failure> {
    REPLAY.confirm(visit).await
}

pub(crate) async fn act(visit: Visit) -> Result<Shown, Failure> {
    let (store, note) = (&visit.desk.store, visit.note()?);
    let target = Target::of(&visit, &visit.form).await?.ok_or_else(gone)?;
    match &target {
        Target::Selected { rows, .. } => {
            let mut results = Vec::new();
            for row in rows {
                results.push((*row, store.replay(*row, &note, visit.now).await));
            }
            REPLAY.of_selection(&visit, &target, results)
        }
        Target::Group { key, .. } => {
            let query = batch(key.clone(), visit.form.row("after")?);
            let page = store.replay_matching(&query, &note, visit.now).await?;
            REPLAY.of_batch(&visit, &target, page.items.len() as u64, page.next).await
        }
    }
}
