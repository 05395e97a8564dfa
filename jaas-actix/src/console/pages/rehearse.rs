//! Tries handlers on events in transactions that are rolled back.

use std::sync::Arc;

use askama::Template;
use jaas_core::store::{AuditNote, RowId};
use jaas_core::{Handled, Rehearsed};

use super::target::{Target, batch, gone};
use crate::console::failure::Failure;
use crate::console::show::cut;
use crate::console::visit::{Frame, Shown, Visit};

/// How many events of a group are rehearsed with one request: handlers may be slow.
const PER_REQUEST: usize = 10;

#[derive(Template)]
#[template(path = "console/rehearsed.html")]
struct Page {
    frame: Frame,
    events: Vec<Event>,
    fields: Vec<(&'static str, String)>,
    left_out: bool,
    back: String,
}

struct Event {
    row: RowId,
    handlers: Vec<Handler>,
    error: Option<String>,
}

struct Handler {
    name: String,
    result: String,
    is_well: bool,
}

pub(crate) async fn act(visit: Visit) -> Result<Shown, Failure> {
    if !visit.desk.store.can_rehearse() {
        return Err(Failure::NotFound(
            "There are no handlers to rehearse; the application gives them to Console::handlers.".to_owned(),
        ));
    }
    let target = Target::of(&visit, &visit.form).await?.ok_or_else(gone)?;
    let (mut rows, next) = match &target {
        Target::Selected { rows, .. } => (rows.clone(), None),
        Target::Group { key, .. } => {
            let mut query = batch(key.clone(), visit.form.row("after")?);
            query.page.limit = PER_REQUEST as u32;
            let page = visit.desk.store.events(&query).await?;
            (page.items.iter().map(|event| event.id).collect(), page.next)
        }
    };
    let left_out = rows.len() > PER_REQUEST;
    rows.truncate(PER_REQUEST);
    let mut events = Vec::new();
    for row in rows {
        events.push(rehearse(&visit, row).await?);
    }
    let fields = match (&target, next) {
        (Target::Group { .. }, Some(next)) => {
            let mut fields = target.fields();
            fields.push(("after", next.to_string()));
            fields
        }
        _ => Vec::new(),
    };
    let frame = visit.frame_of_result("Rehearsal");
    Shown::page(&Page { frame, events, fields, left_out, back: target.back() })
}

/// Rehearses the handlers of one event, and records in the audit who did and what became of it.
async fn rehearse(visit: &Visit, row: RowId) -> Result<Event, Failure> {
    let handlers = match visit.desk.store.rehearse(row).await {
        Some(Ok(handlers)) => handlers,
        Some(Err(error)) => {
            return Ok(Event { row, handlers: Vec::new(), error: Some(cut(&error.to_string(), 300)) });
        }
        None => Vec::new(),
    };
    let outcomes: Vec<_> = handlers
        .iter()
        .map(|(name, rehearsed)| format!("{}: {}", cut(name, 60), outcome(rehearsed)))
        .collect();
    let note = AuditNote::new(visit.operator.name().clone(), outcomes.join("; "));
    visit.desk.store.record_rehearsal(row, &note, visit.now).await?;
    let handler = |(name, rehearsed): &(Arc<str>, Rehearsed)| {
        let (is_well, result) = shown(rehearsed);
        Handler { name: cut(name, 60), result, is_well }
    };
    Ok(Event { row, handlers: handlers.iter().map(handler).collect(), error: None })
}

/// What the audit has of a result. The texts of handlers can be personal, and the audit outlives an erased event.
fn outcome(rehearsed: &Rehearsed) -> &'static str {
    match rehearsed {
        Rehearsed::Returned(Ok(Handled::Done)) => "would succeed",
        Rehearsed::Returned(Ok(Handled::Ignored(_))) => "would ignore it",
        Rehearsed::Returned(Err(_)) => "would fail",
        Rehearsed::Skipped => "not run",
        _ => "unknown result",
    }
}

fn shown(rehearsed: &Rehearsed) -> (bool, String) {
    match rehearsed {
        Rehearsed::Returned(Ok(Handled::Done)) => (true, "would succeed".to_owned()),
        Rehearsed::Returned(Ok(Handled::Ignored(why))) => {
            (true, format!("would ignore it: {}", cut(why, 200)))
        }
        Rehearsed::Returned(Err(error)) => {
            (false, format!("would fail: {}", cut(&error.error().to_string(), 300)))
        }
        Rehearsed::Skipped => {
            (true, "not run: it is a plain handler, whose effects cannot be undone".to_owned())
        }
        _ => (true, "unknown result".to_owned()),
    }
}
