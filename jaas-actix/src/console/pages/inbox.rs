//! The events, newest first.

use std::sync::Arc;

use askama::Template;
use jaas_core::store::{EventQuery, EventState, PageRequest};

use super::rows::{EventRow, Pager};
use crate::console::failure::Failure;
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/inbox.html")]
struct Inbox {
    frame: Frame,
    states: Vec<Choice>,
    fields: Vec<Field>,
    rows: Vec<EventRow>,
    pager: Pager,
    is_filtered: bool,
}

struct Choice {
    value: &'static str,
    is_chosen: bool,
}

struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: String,
}

/// The fields of the filter: name, label, type of the input.
const FIELDS: [(&str, &str, &str); 7] = [
    ("type", "Type", "text"),
    ("room", "Room (tenant/room, as in the event)", "text"),
    ("session", "Session", "text"),
    ("key", "Idempotency key", "text"),
    ("endpoint", "Endpoint", "text"),
    ("from", "Happened from (UTC)", "datetime-local"),
    ("until", "Happened before (UTC)", "datetime-local"),
];

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let query = query(&visit)?;
    let page = visit.desk.store.events(&query).await?;
    let choice = |state: EventState| Choice { value: state.as_str(), is_chosen: query.state == Some(state) };
    let field = |(name, label, kind)| Field { name, label, kind, value: visit.query.text(name) };
    Shown::page(&Inbox {
        frame: visit.frame("Inbox"),
        states: EventState::ALL.into_iter().map(choice).collect(),
        fields: FIELDS.into_iter().map(field).collect(),
        rows: EventRow::all(&visit, &page.items),
        pager: Pager::new(&visit, &page),
        is_filtered: !query.is_empty(),
    })
}

fn query(visit: &Visit) -> Result<EventQuery, Failure> {
    let asked = &visit.query;
    let state = match asked.get("state") {
        Some(name) => {
            Some(EventState::from_name(name).ok_or_else(|| Failure::request("there is no such state"))?)
        }
        None => None,
    };
    Ok(EventQuery {
        state,
        event_type: asked.get("type").map(str::to_owned),
        session_id: asked.get("session").map(Into::into),
        fqn: asked.get("room").map(Into::into),
        idempotency_key: asked.get("key").map(Into::into),
        endpoint: asked.get("endpoint").map(Arc::from),
        from: asked.time("from")?,
        until: asked.time("until")?,
        page: PageRequest { after: asked.row("after")?, limit: PAGE, newest_first: true },
        ..EventQuery::default()
    })
}
