//! What an act is about: one event, a selection, or a whole group of dead letters.

use askama::Template;
use jaas_core::store::{DeadLetterKey, EventQuery, EventState, PageRequest, RowId, StoreError};

use super::dead;
use crate::console::failure::Failure;
use crate::console::params::{Params, href};
use crate::console::show::{count, cut};
use crate::console::visit::{Frame, Shown, Visit};

/// How many events one request selects at most: a page of checkboxes.
const MAX_SELECTED: usize = 100;

/// The events of an act.
#[derive(Debug)]
pub(crate) enum Target {
    Selected { rows: Vec<RowId>, from: Option<String> },
    Group { id: String, key: DeadLetterKey, how_many: String },
}

impl Target {
    /// What a query or a form names. `None` for a group without dead letters.
    pub(crate) async fn of(visit: &Visit, asked: &Params) -> Result<Option<Self>, Failure> {
        if let Some(id) = asked.get("group") {
            let of = |key, how_many| Self::Group { id: id.to_owned(), key, how_many };
            // A form names the group itself: after some batches it may be older than what the store groups.
            if let Some(key) = asked.get("key").and_then(key_of).filter(|key| dead::group_id(key) == id) {
                return Ok(Some(of(key, "more".to_owned())));
            }
            let group = dead::find(&*visit.desk.store, id).await?;
            return Ok(group.map(|(group, how_many)| of(group.key, how_many)));
        }
        let mut rows = asked.rows("id")?;
        rows.sort_unstable();
        rows.dedup();
        match rows.len() {
            0 => Err(Failure::request("nothing is selected; go back and select an event")),
            1..=MAX_SELECTED => Ok(Some(Self::Selected { rows, from: asked.get("from").map(str::to_owned) })),
            _ => Err(Failure::request(format!(
                "more than {MAX_SELECTED} events are selected; act on the group"
            ))),
        }
    }

    /// As an operator reads it.
    fn shown(&self) -> (String, String) {
        match self {
            Self::Selected { rows, .. } if rows.len() == 1 => {
                let row = rows.first().map_or(0, |row| row.get());
                ("1 event".to_owned(), format!("event {row}"))
            }
            Self::Selected { rows, .. } => {
                let listed: Vec<_> = rows.iter().map(RowId::to_string).collect();
                (format!("{} events", rows.len()), format!("events {}", listed.join(", ")))
            }
            Self::Group { key, how_many, .. } => (
                format!("{how_many} dead letter{}", if how_many == "1" { "" } else { "s" }),
                format!(
                    "type {}, error: {}",
                    cut(&key.event_type, 60),
                    cut(key.error.as_deref().unwrap_or("(no error)"), 300)
                ),
            ),
        }
    }

    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Selected { rows, from } => {
                let rows = rows.iter().map(|row| ("id", row.to_string()));
                rows.chain(from.iter().map(|from| ("from", from.clone()))).collect()
            }
            Self::Group { id, key, .. } => vec![("group", id.clone()), ("key", field_of(key))],
        }
    }

    /// Where the operator came from.
    pub(crate) fn back(&self) -> String {
        match self {
            Self::Selected { from: Some(group), .. } | Self::Group { id: group, .. } => {
                href("dead-group", [("group", &**group)])
            }
            Self::Selected { rows, from: None } => match &**rows {
                [row] => format!("event?id={row}"),
                _ => "dead".to_owned(),
            },
        }
    }
}

/// An act that goes through events one by one or in batches.
pub(crate) struct Bulk {
    /// The name of the route that does it.
    pub(crate) act: &'static str,
    /// The verb of its button.
    pub(crate) verb: &'static str,
    /// What was done to an event.
    pub(crate) done: &'static str,
    /// What it means, and how it can be undone.
    pub(crate) meaning: &'static str,
}

#[derive(Template)]
#[template(path = "console/confirm.html")]
struct Confirm {
    frame: Frame,
    act: &'static str,
    verb: &'static str,
    meaning: &'static str,
    how_many: String,
    what: String,
    fields: Vec<(&'static str, String)>,
    back: String,
}

#[derive(Template)]
#[template(path = "console/progress.html")]
struct Progress {
    frame: Frame,
    act: &'static str,
    verb: &'static str,
    done: &'static str,
    so_far: String,
    /// About how many are left, if the act goes on.
    left: Option<String>,
    fields: Vec<(&'static str, String)>,
    failed: Vec<(RowId, String)>,
    back: String,
}

impl Bulk {
    /// Asks for a reason, and says how many events it is about.
    pub(crate) async fn confirm(&self, visit: Visit) -> Result<Shown, Failure> {
        let target = Target::of(&visit, &visit.query).await?.ok_or_else(gone)?;
        let (how_many, what) = target.shown();
        Shown::page(&Confirm {
            frame: visit.frame(format!("{} {how_many}?", self.verb)),
            act: self.act,
            verb: self.verb,
            meaning: self.meaning,
            how_many,
            what,
            fields: target.fields(),
            back: target.back(),
        })
    }

    /// The result for a selection. Every event has its own result, and an error of one does not stop the others.
    pub(crate) fn of_selection(
        &self,
        visit: &Visit,
        target: &Target,
        results: Vec<(RowId, Result<(), StoreError>)>,
    ) -> Result<Shown, Failure> {
        let mut failed = Vec::new();
        let mut done = 0;
        for (row, result) in results {
            match result {
                Ok(()) => done += 1,
                // With one event, its page of failure says more.
                Err(error) if matches!(target, Target::Selected { rows, .. } if rows.len() == 1) => {
                    return Err(error.into());
                }
                Err(error) => failed.push((row, cut(&error.to_string(), 200))),
            }
        }
        if failed.is_empty() {
            return Ok(Shown::See(target.back()));
        }
        self.progress(visit, target.back(), done, failed, None)
    }

    /// The result of one batch of a group: how many so far, and a button to go on.
    pub(crate) async fn of_batch(
        &self,
        visit: &Visit,
        target: &Target,
        done: u64,
        next: Option<RowId>,
    ) -> Result<Shown, Failure> {
        let so_far = visit.form.count("done")?.saturating_add(done);
        let left = match (target, next) {
            (Target::Group { id, .. }, Some(next)) => {
                let found = dead::find(&*visit.desk.store, id).await?;
                Some((
                    next,
                    found.map_or_else(|| "some".to_owned(), |(_, how_many)| format!("about {how_many}")),
                ))
            }
            _ => None,
        };
        self.progress(visit, "dead".to_owned(), so_far, Vec::new(), left.map(|left| (target, left)))
    }

    fn progress(
        &self,
        visit: &Visit,
        back: String,
        so_far: u64,
        failed: Vec<(RowId, String)>,
        left: Option<(&Target, (RowId, String))>,
    ) -> Result<Shown, Failure> {
        let fields = left.as_ref().map_or_else(Vec::new, |(target, (next, _))| {
            let mut fields = target.fields();
            fields.extend([
                ("after", next.to_string()),
                ("done", so_far.to_string()),
                ("reason", visit.form.text("reason")),
            ]);
            fields
        });
        Shown::page(&Progress {
            frame: visit.frame_of_result(format!("{} {}", count(so_far), self.done)),
            act: self.act,
            verb: self.verb,
            done: self.done,
            so_far: count(so_far),
            left: left.map(|(_, (_, left))| left),
            fields,
            failed,
            back,
        })
    }
}

/// A group's key as the field of a form: as JSON, because browsers change line breaks.
fn field_of(DeadLetterKey { event_type, error }: &DeadLetterKey) -> String {
    serde_json::json!([event_type, error]).to_string()
}

/// The key of a field that [`field_of`] made.
fn key_of(field: &str) -> Option<DeadLetterKey> {
    let (event_type, error) = serde_json::from_str(field).ok()?;
    Some(DeadLetterKey { event_type, error })
}

/// The dead letters of a group from here on, as many as one transaction may change.
pub(crate) fn batch(key: DeadLetterKey, after: Option<RowId>) -> EventQuery {
    let mut query = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    query.dead_letter = Some(key);
    query.page = PageRequest { after, limit: PageRequest::MAX_LIMIT, newest_first: false };
    query
}

/// What an act on a group without dead letters says.
pub(crate) fn gone() -> Failure {
    Failure::NotFound("There are no dead letters in this group any more. Nothing was changed.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_a_group_whatever_its_error_contains() {
        for error in [None, Some(String::new()), Some("a\n\"b\"\r\n\u{2028}<i>é".to_owned())] {
            let key = DeadLetterKey { event_type: "ROOM_CREATED".to_owned(), error };
            let field = field_of(&key);
            assert!(!field.contains(['\n', '\r']));
            assert_eq!(key_of(&field), Some(key));
        }
        assert_eq!(key_of("[1]"), None);
    }
}
