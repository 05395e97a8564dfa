//! Deliveries whose key was used before with another body.

use askama::Template;
use jaas_core::store::PageRequest;

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::params::href;
use crate::console::show::{At, bytes, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/conflicts.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    endpoint: String,
    key: String,
    key_href: String,
    first: At,
    last: At,
    seen: u32,
    size: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let asked = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
    let page = visit.desk.store.conflicts(asked).await?;
    let row = |conflict: &jaas_core::store::Conflict| Row {
        endpoint: cut(&conflict.endpoint, 60),
        key: cut(conflict.idempotency_key.as_str(), 60),
        key_href: href(
            "inbox",
            [("key", conflict.idempotency_key.as_str()), ("endpoint", &*conflict.endpoint)],
        ),
        first: visit.at(conflict.first_received_at),
        last: visit.at(conflict.last_received_at),
        seen: conflict.seen,
        size: if conflict.body.is_empty() { "erased".to_owned() } else { bytes(conflict.body.len() as u64) },
    };
    Shown::page(&Page {
        frame: visit.frame("Conflicts"),
        rows: page.items.iter().map(row).collect(),
        pager: Pager::new(&visit, &page),
    })
}
