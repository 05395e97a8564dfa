//! The files that the archive fetches, by the time that is left.

use askama::Template;
use jaas_core::archive::{ArtifactQuery, ArtifactRecord, ArtifactState};
use jaas_core::store::PageRequest;

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::shelf::within;
use crate::console::show::{At, bytes, count, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

/// How many files that are not settled are looked at to find those with the least time left.
const LOOKED_AT: u32 = PageRequest::MAX_LIMIT;

#[derive(Template)]
#[template(path = "console/artifacts.html")]
struct Page {
    frame: Frame,
    states: Vec<(&'static str, bool)>,
    open: String,
    earliest: Option<At>,
    /// Whether the list is of what is not settled, the least time left first.
    is_open: bool,
    is_cut: bool,
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
    let list = async |state, page| {
        let query = ArtifactQuery { state, page, ..ArtifactQuery::default() };
        within(visit.desk.timeout, files.artifacts(&query)).await
    };
    let stats = within(visit.desk.timeout, files.stats()).await?;
    let page = match state {
        Some(_) => {
            let after = visit.query.row("after")?;
            list(state, PageRequest { after, limit: PAGE, newest_first: true }).await?
        }
        None => {
            let first = PageRequest { limit: LOOKED_AT, ..PageRequest::first() };
            let mut waiting = list(Some(ArtifactState::Waiting), first).await?;
            waiting.items.extend(list(Some(ArtifactState::Running), first).await?.items);
            waiting.items.sort_by_key(|file| (file.deadline, file.id));
            waiting.items.truncate(PAGE as usize);
            waiting.next = None;
            waiting
        }
    };
    Shown::page(&Page {
        frame: visit.frame("Artifacts"),
        states: ArtifactState::ALL.map(|each| (each.as_str(), state == Some(each))).to_vec(),
        is_open: state.is_none(),
        is_cut: state.is_none() && stats.open > page.items.len() as u64,
        open: count(stats.open),
        earliest: stats.oldest_deadline.map(|at| visit.at(at)),
        rows: page.items.iter().map(|file| row(&visit, file)).collect(),
        pager: Pager::new(&visit, &page),
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
