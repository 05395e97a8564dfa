//! One event and its whole life.

use askama::Template;
use jaas_core::store::{EventLife, EventState, EventStatus, RowId};
use jaas_core::telemetry::Escaped;

use super::life::Rows;
use super::rows::EventRow;
use crate::console::access::Right;
use crate::console::failure::Failure;
use crate::console::params::href;
use crate::console::show::{At, bytes, cut};
use crate::console::visit::{Frame, Shown, Visit};

/// How many bytes of a body one page shows.
const PART: usize = 12 * 1024;

#[derive(Template)]
#[template(path = "console/event.html")]
struct Page {
    frame: Frame,
    row: EventRow,
    endpoint: String,
    key: String,
    event_type: String,
    fqn: String,
    session: String,
    occurred: At,
    due: Option<At>,
    settled: Option<At>,
    erased: Option<At>,
    worker: String,
    completed: Vec<String>,
    note: String,
    trace_id: String,
    counts: (u32, u32, u32),
    size: String,
    key_href: String,
    life: Rows,
    next: String,
    behind: Option<RowId>,
    can_replay: bool,
    can_rehearse: bool,
    can_discard: bool,
    can_reveal: bool,
    body: Option<Body>,
}

/// A part of a revealed body.
struct Body {
    text: String,
    part: usize,
    parts: usize,
    reason: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let life = find(&visit, visit.query.row("id")?).await?;
    page(&visit, &life, None)
}

/// Shows the body, after the audit has who looks and why.
pub(crate) async fn reveal(visit: Visit) -> Result<Shown, Failure> {
    let note = visit.note()?;
    let life = find(&visit, visit.form.row("id")?).await?;
    let event = &life.event;
    let part = usize::try_from(visit.form.count("part")?).unwrap_or(usize::MAX);
    visit.desk.store.reveal(event.id, &note, visit.now).await?;
    let text = match serde_json::from_slice::<serde_json::Value>(&event.body) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(&event.body).into_owned(),
    };
    let text = line_by_line(&text);
    let parts = parts(&text);
    let part = part.min(parts.len().saturating_sub(1));
    let text = parts.get(part).copied().unwrap_or_default().to_owned();
    let body = Body { text, part, parts: parts.len(), reason: visit.form.text("reason") };
    page(&visit, &life, Some(body))
}

async fn find(visit: &Visit, id: Option<RowId>) -> Result<EventLife, Failure> {
    let id = id.ok_or_else(|| Failure::request("the number of the event is missing"))?;
    let life = visit.desk.store.life(id, visit.now).await?;
    life.ok_or_else(|| {
        Failure::NotFound(format!(
            "There is no event {id}. It may have been purged; the audit keeps what was done to it."
        ))
    })
}

fn page(visit: &Visit, life: &EventLife, body: Option<Body>) -> Result<Shown, Failure> {
    let event = &life.event;
    let title = format!("Event {}", event.id);
    let is_waiting = event.state == EventState::Waiting;
    let may_run = visit.can(Right::Replay) && event.erased_at.is_none();
    Shown::page(&Page {
        frame: if body.is_some() { visit.frame_of_result(title) } else { visit.frame(title) },
        row: EventRow::new(visit, event),
        endpoint: cut(&event.endpoint, 100),
        key: cut(event.idempotency_key.as_str(), 300),
        event_type: cut(&event.event_type, 300),
        fqn: cut(event.fqn.as_str(), 300),
        session: cut(event.session_id.as_ref().map_or("", |session| session.as_str()), 300),
        occurred: visit.at(event.occurred_at),
        due: is_waiting.then(|| visit.at(event.due_at)),
        settled: event.settled_at.map(|at| visit.at(at)),
        erased: event.erased_at.map(|at| visit.at(at)),
        worker: cut(event.worker.as_deref().unwrap_or_default(), 100),
        completed: event.completed.iter().take(50).map(|handler| cut(handler, 60)).collect(),
        note: cut(event.note.as_deref().unwrap_or_default(), 2_000),
        trace_id: event.trace.as_ref().map_or_else(String::new, |trace| trace.trace_id().to_owned()),
        counts: (event.failures, event.crashes, event.interruptions),
        size: bytes(event.body.len() as u64),
        key_href: href("inbox", [("key", event.idempotency_key.as_str())]),
        life: Rows::new(visit, life, body.is_some()),
        next: cut(&life.status.to_string(), 300),
        behind: match life.status {
            EventStatus::Behind { event, .. } => Some(event),
            _ => None,
        },
        can_replay: may_run && event.state.is_settled(),
        can_rehearse: may_run && visit.desk.store.can_rehearse(),
        can_discard: visit.can(Right::Discard)
            && matches!(event.state, EventState::Waiting | EventState::Ignored | EventState::Dead),
        can_reveal: visit.can(Right::Reveal) && event.erased_at.is_none(),
        body,
    })
}

/// Escapes what would turn the direction of writing or hide something, except line breaks.
fn line_by_line(text: &str) -> String {
    text.lines().map(|line| Escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Cuts a text between characters into parts that a page can hold.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = PART.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_body_are_the_body() {
        for text in ["", "a", &"\u{e9}".repeat(PART), &"\u{1f642}".repeat(PART)] {
            let parts = parts(text);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|part| part.len() <= PART));
        }
    }
}
