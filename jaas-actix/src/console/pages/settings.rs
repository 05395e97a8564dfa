//! How questions for settings were answered, and what decided.

use askama::Template;
use jaas_core::settings::{SettingsFailure, SettingsQuery, SettingsSource};
use jaas_core::store::PageRequest;

use super::rows::Pager;
use crate::console::failure::Failure;
use crate::console::show::{At, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/settings.html")]
struct Page {
    frame: Frame,
    room: String,
    from: String,
    until: String,
    sources: Vec<(&'static str, bool)>,
    failures: Vec<(&'static str, bool)>,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    received: At,
    endpoint: String,
    room: String,
    took_ms: u128,
    source: &'static str,
    failure: &'static str,
    error: String,
    decided_by: String,
    answer: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let Some(log) = &visit.desk.settings else {
        return Err(Failure::NotFound(
            "The application has not given a log of settings to the console (Console::settings).".to_owned(),
        ));
    };
    let asked = &visit.query;
    let unknown = |what: &str| Failure::request(format!("there is no such {what}"));
    let source = match asked.get("source") {
        Some(name) => Some(SettingsSource::from_name(name).ok_or_else(|| unknown("source"))?),
        None => None,
    };
    let failure = match asked.get("failure") {
        Some(name) => Some(SettingsFailure::from_name(name).ok_or_else(|| unknown("failure"))?),
        None => None,
    };
    let query = SettingsQuery {
        fqn: asked.get("room").map(Into::into),
        from: asked.time("from")?,
        until: asked.time("until")?,
        source,
        failure,
        page: PageRequest { after: asked.row("after")?, limit: PAGE, newest_first: true },
        ..SettingsQuery::default()
    };
    let page = crate::console::shelf::within(visit.desk.timeout, log.settings_records(&query)).await?;
    let row = |record: &jaas_core::settings::SettingsRecord| Row {
        received: visit.at(record.received_at),
        endpoint: cut(&record.endpoint, 40),
        room: cut(record.fqn.room(), 60),
        took_ms: record.took.as_millis(),
        source: record.source.as_str(),
        failure: record.failure.map_or("", SettingsFailure::as_str),
        error: cut(record.error.as_deref().unwrap_or_default(), 120),
        decided_by: cut(record.decided_by.as_deref().unwrap_or_default(), 80),
        answer: cut(&record.answer, 160),
    };
    let sources = SettingsSource::ALL.map(|source| (source.as_str(), query.source == Some(source)));
    let failures = SettingsFailure::ALL.map(|failure| (failure.as_str(), query.failure == Some(failure)));
    Shown::page(&Page {
        frame: visit.frame("Decisions on settings"),
        room: asked.text("room"),
        from: asked.text("from"),
        until: asked.text("until"),
        sources: sources.to_vec(),
        failures: failures.to_vec(),
        rows: page.items.iter().map(row).collect(),
        pager: Pager::new(&visit, &page),
    })
}
