//! What should have come and did not.

use askama::Template;
use jaas_core::Fqn;
use jaas_core::store::PageRequest;
use jaas_core::watch::{GapQuery, GapRecord, GapState, Rule};

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::params::href;
use crate::console::shelf::within;
use crate::console::show::{At, count, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/gaps.html")]
struct Page {
    frame: Frame,
    counts: Vec<(&'static str, &'static str, String)>,
    states: Vec<(&'static str, bool)>,
    rules: Vec<(&'static str, bool)>,
    room: String,
    session: String,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    state: &'static str,
    rule: &'static str,
    severity: &'static str,
    room: String,
    /// What it is about, a session or an endpoint, and its page.
    about: String,
    about_href: String,
    subject: String,
    seen: At,
    due: At,
    found: At,
    closed: Option<At>,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let Some(store) = &visit.desk.gaps else {
        return Err(Failure::NotFound(
            "The application has not given a store that watches to the console (Console::gaps).".to_owned(),
        ));
    };
    let asked = &visit.query;
    let unknown = |what: &str| Failure::request(format!("there is no such {what}"));
    let state = match asked.get("state") {
        Some(name) => Some(GapState::from_name(name).ok_or_else(|| unknown("state"))?),
        None => None,
    };
    let rule = match asked.get("rule") {
        Some(name) => Some(Rule::from_name(name).ok_or_else(|| unknown("rule"))?),
        None => None,
    };
    let query = GapQuery {
        state,
        rule,
        session_id: asked.get("session").map(Into::into),
        room: asked.get("room").map(Fqn::new),
        page: PageRequest { after: asked.row("after")?, limit: PAGE, newest_first: true },
    };
    let counts = within(visit.desk.timeout, store.counts()).await?;
    let page = within(visit.desk.timeout, store.gaps(&query)).await?;
    let counts = counts.iter().map(|known| (known.rule.as_str(), known.severity.as_str(), count(known.open)));
    Shown::page(&Page {
        frame: visit.frame("Gaps"),
        counts: counts.collect(),
        states: GapState::ALL.map(|each| (each.as_str(), state == Some(each))).to_vec(),
        rules: Rule::ALL.map(|each| (each.as_str(), rule == Some(each))).to_vec(),
        room: asked.text("room"),
        session: asked.text("session"),
        rows: page.items.iter().map(|record| row(&visit, record)).collect(),
        pager: Pager::new(&visit, &page),
    })
}

fn row(visit: &Visit, record: &GapRecord) -> Row {
    let gap = &record.gap;
    let (about, about_href) = match gap.endpoint() {
        Some(endpoint) => {
            (format!("endpoint {}", cut(endpoint, 40)), href("inbox", [("endpoint", endpoint)]))
        }
        None => {
            let session = gap.session_id.as_str();
            (cut(session, 14), href("session", [("id", session)]))
        }
    };
    Row {
        state: record.state.as_str(),
        rule: gap.rule.as_str(),
        severity: gap.severity.as_str(),
        room: cut(gap.fqn.room(), 40),
        about,
        about_href,
        subject: cut(&gap.subject, 60),
        seen: visit.at(gap.seen_at),
        due: visit.at(gap.due_at),
        found: visit.at(record.found_at),
        closed: record.closed_at.map(|at| visit.at(at)),
    }
}
