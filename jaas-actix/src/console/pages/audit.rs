//! What operators did.

use askama::Template;
use jaas_core::store::PageRequest;

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::show::{At, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/audit.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    at: At,
    event: i64,
    key: String,
    action: &'static str,
    by: String,
    reason: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let asked = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
    let page = visit.desk.store.audit(asked).await?;
    let row = |entry: &jaas_core::store::AuditEntry| Row {
        at: visit.at(entry.at),
        event: entry.event.get(),
        key: cut(entry.idempotency_key.as_str(), 40),
        action: entry.action.as_str(),
        by: cut(&entry.note.by, 60),
        reason: cut(&entry.note.reason, 160),
    };
    Shown::page(&Page {
        frame: visit.frame("Audit"),
        rows: page.items.iter().map(row).collect(),
        pager: Pager::new(&visit, &page),
    })
}
