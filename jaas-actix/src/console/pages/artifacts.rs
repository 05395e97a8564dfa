//! The files that the archive fetches, by the time that is left.

use askama::Template;
use jaas_core::archive::{ArtifactQuery, ArtifactRecord, ArtifactState};
use jaas_core::meetings::TimePageRequest;
use jaas_core::store::PageRequest;

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::shelf::within;
use crate::console::show::{At, bytes, count, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/artifacts.html")]
struct Page {
    frame: Frame,
    states: Vec<(&'static str, bool)>,
    open: String,
    earliest: Option<At>,
    /// Whether the list is of what is not settled, the least time left first.
    is_open: bool,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    event: i64,
    slot: String,
    state: &'static str,
    deadline: At,
    is_late: bool,
    failures: u32,
    next: At,
    why: String,
    error: String,
    size: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let Some(files) = &visit.desk.files else {
        return Err(Failure::NotFound(
            "The application has not given an archive to the console (Console::archive).".to_owned(),
        ));
    };
    let state = match visit.query.get("state") {
        Some(name) => {
            Some(ArtifactState::from_name(name).ok_or_else(|| Failure::request("there is no such state"))?)
        }
        None => None,
    };
    let stats = within(visit.desk.timeout, files.stats()).await?;
    let (items, next) = match state {
        Some(_) => {
            let page = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
            let query = ArtifactQuery { state, page, ..ArtifactQuery::default() };
            let page = within(visit.desk.timeout, files.artifacts(&query)).await?;
            (page.items, page.next.map(|next| next.to_string()))
        }
        None => {
            let asked = TimePageRequest { after: visit.query.time_cursor("after")?, limit: PAGE };
            let page = within(visit.desk.timeout, files.open(&asked)).await?;
            (page.items, page.next.map(|next| next.to_string()))
        }
    };
    Shown::page(&Page {
        frame: visit.frame("Artifacts"),
        states: ArtifactState::ALL.map(|each| (each.as_str(), state == Some(each))).to_vec(),
        is_open: state.is_none(),
        open: count(stats.open),
        earliest: stats.oldest_deadline.map(|at| visit.at(at)),
        rows: items.iter().map(|file| row(&visit, file)).collect(),
        pager: Pager::of(&visit, next),
    })
}

fn row(visit: &Visit, file: &ArtifactRecord) -> Row {
    Row {
        event: file.event.get(),
        slot: cut(&file.slot, 40),
        state: file.state.as_str(),
        deadline: visit.at(file.deadline),
        is_late: file.settled_at.is_none() && file.deadline <= visit.now,
        failures: file.failures,
        next: visit.at(file.settled_at.unwrap_or(file.due_at)),
        why: file.why.map_or_else(String::new, |why| why.to_string()),
        error: cut(file.error.as_deref().unwrap_or_default(), 120),
        size: file.kept.as_ref().map_or_else(String::new, |kept| bytes(kept.bytes)),
    }
}
