//! Authentic bodies that could not be parsed, and parsing them again.

use askama::Template;
use jaas_core::store::{PageRequest, QuarantineReplay, RowId};

use super::rows::Pager;
use crate::console::access::Right;
use crate::console::failure::Failure;
use crate::console::show::{At, bytes, count, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/quarantine.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    pager: Pager,
    can_replay: bool,
}

struct Row {
    id: i64,
    endpoint: String,
    reason: String,
    first: At,
    last: At,
    seen: u32,
    size: String,
}

#[derive(Template)]
#[template(path = "console/quarantine_replayed.html")]
struct Replayed {
    frame: Frame,
    /// What became of the bodies, in words and counts.
    outcomes: Vec<(&'static str, String)>,
    fields: Vec<(&'static str, String)>,
    goes_on: bool,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let asked = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
    let page = visit.desk.store.quarantined(asked).await?;
    let row = |body: &jaas_core::store::Quarantined| Row {
        id: body.id.get(),
        endpoint: cut(&body.endpoint, 60),
        reason: cut(&body.reason, 160),
        first: visit.at(body.first_received_at),
        last: visit.at(body.last_received_at),
        seen: body.seen,
        size: bytes(body.body.len() as u64),
    };
    Shown::page(&Page {
        frame: visit.frame("Quarantine"),
        rows: page.items.iter().map(row).collect(),
        pager: Pager::new(&visit, &page),
        can_replay: visit.can(Right::Replay) && !page.items.is_empty(),
    })
}

pub(crate) async fn replay(visit: Visit) -> Result<Shown, Failure> {
    let note = visit.note()?;
    let asked =
        PageRequest { after: visit.form.row("after")?, limit: PageRequest::MAX_LIMIT, newest_first: false };
    let replayed = visit.desk.store.replay_quarantined(asked, &note, visit.now).await?;
    let sums = sums(&visit, &replayed)?;
    let mut fields: Vec<_> = sums.iter().map(|(name, _, sum)| (*name, sum.to_string())).collect();
    fields.push(("reason", visit.form.text("reason")));
    fields.push(("after", replayed.next.map_or_else(String::new, |next: RowId| next.to_string())));
    Shown::page(&Replayed {
        frame: visit.frame_of_result("Quarantine parsed again"),
        outcomes: sums.iter().map(|(_, words, sum)| (*words, count(*sum))).collect(),
        fields,
        goes_on: replayed.next.is_some(),
    })
}

/// The counts of all batches so far.
fn sums(
    visit: &Visit,
    replayed: &QuarantineReplay,
) -> Result<[(&'static str, &'static str, u64); 4], Failure> {
    let counted = [
        ("new", "accepted as new events", replayed.new),
        ("duplicates", "were stored already", replayed.duplicates),
        ("conflicts", "have a key that is stored with another body; see the conflicts", replayed.conflicts),
        ("unreadable", "still cannot be parsed, and stay", replayed.unreadable),
    ];
    let mut sums = counted;
    for (name, _, sum) in &mut sums {
        *sum = sum.saturating_add(visit.form.count(name)?);
    }
    Ok(sums)
}
