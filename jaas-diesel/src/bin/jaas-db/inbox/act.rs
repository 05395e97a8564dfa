//! `jaas inbox replay` and `discard`.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jaas_core::store::{AuditNote, EventAdmin, EventQuery, EventState, Page, PageRequest, RowId, StoreError};
use jaas_core::{Clock as _, SystemClock};
use serde_json::json;

use super::events::Filter;
use super::operator::Operator;
use crate::failure::Failure;
use crate::output::Output;

/// Runs settled events again
#[derive(Debug, Args)]
#[command(after_help = "\
Without --state, only dead letters. A replayed dead letter runs the handlers that have not succeeded; a done event runs
all.

Examples:
  jaas inbox replay 4711 4712 --reason 'fixed in 1.4.2'
  jaas inbox replay --type RECORDING_UPLOADED --from 1d --reason 'the disk was full'
  jaas inbox replay --group 9c1185a5c5e9fc54 --reason 'the disk was full' --yes")]
pub(super) struct Replay {
    #[command(flatten)]
    act: Act,
}

/// Discards events that wait, are ignored or are dead
#[derive(Debug, Args)]
#[command(after_help = "\
Without --state, only dead letters. A discarded event can be replayed.

Examples:
  jaas inbox discard 4711 --reason 'a test'
  jaas inbox discard --session 7f4c1a52-6a63-4c1e-9d2b-8f7f5e0c9a10 --state waiting --reason 'a test meeting'")]
pub(super) struct Discard {
    #[command(flatten)]
    act: Act,
}

/// To which events, and who does it.
#[derive(Debug, Args)]
struct Act {
    /// The events' rows; or choose events with the options
    rows: Vec<i64>,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    operator: Operator,

    /// Does not ask before it begins
    #[arg(long)]
    yes: bool,

    /// How many events to change in one transaction, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
    batch: u32,

    /// Continues after this row, if an earlier run was cut short
    #[arg(long, value_name = "ROW", conflicts_with = "rows")]
    after: Option<i64>,
}

/// What is done to events.
#[derive(Clone, Copy)]
enum Deed {
    Replay,
    Discard,
}

impl Deed {
    fn verb(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
        }
    }

    async fn one<S: EventAdmin>(self, store: &S, event: RowId, note: &AuditNote) -> Result<(), StoreError> {
        match self {
            Self::Replay => store.replay(event, note, SystemClock.now()).await,
            Self::Discard => store.discard(event, note, SystemClock.now()).await,
        }
    }

    async fn page<S: EventAdmin>(
        self,
        store: &S,
        query: &EventQuery,
        note: &AuditNote,
    ) -> Result<Page<RowId>, StoreError> {
        match self {
            Self::Replay => store.replay_matching(query, note, SystemClock.now()).await,
            Self::Discard => store.discard_matching(query, note, SystemClock.now()).await,
        }
    }
}

impl Replay {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        self.act.run(Deed::Replay, store, output).await
    }
}

impl Discard {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        self.act.run(Deed::Discard, store, output).await
    }
}

impl Act {
    async fn run<S: EventAdmin>(&self, deed: Deed, store: &S, output: &Output) -> Result<(), Failure> {
        let note = self.operator.note()?;
        let done = match (self.rows.is_empty(), self.filter.is_empty()) {
            (false, true) => self.rows(deed, store, &note, output).await?,
            (true, false) => self.matching(deed, store, &note, output).await?,
            (false, false) => {
                return Err(Failure::usage("pass rows, or options that choose events, and not both"));
            }
            (true, true) => {
                return Err(Failure::usage(format!(
                    "{} what? pass rows, or options that choose events, such as --group",
                    deed.verb()
                )));
            }
        };
        output.result(&json!({deed.done(): done}), || format!("{done} {}\n", events(done, deed.done())))
    }

    async fn rows<S: EventAdmin>(
        &self,
        deed: Deed,
        store: &S,
        note: &AuditNote,
        output: &Output,
    ) -> Result<u64, Failure> {
        if !self.yes {
            let many = self.rows.len() as u64;
            output.confirm(&format!("{} {many} {}?", deed.verb(), events(many, "")))?;
        }
        let mut done = 0;
        for row in &self.rows {
            let so_far = || format!("{done} {} before", events(done, deed.done()));
            let one = deed.one(store, RowId::new(*row), note).await;
            one.map_err(|error| Failure::from(error).after(&so_far()))?;
            done += 1;
        }
        Ok(done)
    }

    async fn matching<S: EventAdmin>(
        &self,
        deed: Deed,
        store: &S,
        note: &AuditNote,
        output: &Output,
    ) -> Result<u64, Failure> {
        let first = PageRequest { limit: self.batch, after: self.after.map(RowId::new), newest_first: false };
        let mut query = self.filter.query(store, first).await?;
        if query.dead_letter.is_none() {
            query.state = query.state.or(Some(EventState::Dead));
        }
        if !self.yes {
            output.confirm(&format!("{} {} that match?", deed.verb(), how_many(store, &query).await?))?;
        }
        let progress = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let mut done = 0;
        loop {
            let page = deed.page(store, &query, note).await.map_err(|error| {
                let after = query.page.after.map(|after| format!(", continue with --after {after}"));
                let so_far = events(done, deed.done());
                Failure::from(error).after(&format!("{done} {so_far} before{}", after.unwrap_or_default()))
            })?;
            done += page.items.len() as u64;
            progress.set_message(format!("{done} {}", events(done, deed.done())));
            progress.tick();
            match page.next {
                Some(next) => query.page.after = Some(next),
                None => break,
            }
        }
        progress.finish_and_clear();
        Ok(done)
    }
}

/// How many events match, without reading them all.
async fn how_many<S: EventAdmin>(store: &S, query: &EventQuery) -> Result<String, Failure> {
    let page = PageRequest { limit: 100, ..query.page };
    let found = store.events(&EventQuery { page, ..query.clone() }).await?;
    let many = found.items.len() as u64;
    if found.next.is_some() {
        return Ok(format!("at least {many} events"));
    }
    Ok(format!("{many} {}", events(many, "")))
}

fn events(many: u64, done: &str) -> String {
    let noun = if many == 1 { "event" } else { "events" };
    if done.is_empty() { noun.to_owned() } else { format!("{noun} {done}") }
}
