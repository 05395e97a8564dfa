//! `jaas inbox list`, and the options that choose events.

use clap::Args;
use jaas_core::store::{EventAdmin, EventQuery, EventState, PageRequest, RowId, StoredEvent};
use jaas_core::{Fqn, IdempotencyKey, SessionId, Timestamp};
use serde_json::{Value, json};

use super::groups;
use crate::failure::Failure;
use crate::output::{Output, Table, more, short};
use crate::values;

/// Which events: those that match every option.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Events in this state: waiting, running, done, ignored, dead or discarded
    #[arg(long, value_name = "STATE", value_parser = values::state)]
    state: Option<EventState>,

    /// Events of this type, such as RECORDING_UPLOADED
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// Events of this meeting, spelled as in the event: `<app id>/<room>`
    #[arg(long, value_name = "FQN")]
    room: Option<String>,

    /// Events of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Events with this idempotency key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Events that this endpoint received
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Events that happened at this time or later: 2026-11-28T09:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_hyphen_values = true)]
    from: Option<Timestamp>,

    /// Events that happened before this time
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_hyphen_values = true)]
    until: Option<Timestamp>,

    /// Dead letters of this group, as `groups` shows it
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["state", "event_type"])]
    group: Option<String>,
}

impl Filter {
    /// Whether no option was given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { state, event_type, room, session, key, endpoint, from, until, group } = self;
        let texts = [event_type, room, session, key, endpoint, group];
        state.is_none() && from.is_none() && until.is_none() && texts.iter().all(|text| text.is_none())
    }

    pub(super) async fn query<S: EventAdmin>(
        &self,
        store: &S,
        page: PageRequest,
    ) -> Result<EventQuery, Failure> {
        let dead_letter = match &self.group {
            Some(group) => Some(groups::named(store, group).await?.key),
            None => None,
        };
        Ok(EventQuery {
            state: self.state,
            event_type: self.event_type.clone(),
            session_id: self.session.clone().map(SessionId::new),
            fqn: self.room.clone().map(Fqn::new),
            idempotency_key: self.key.clone().map(IdempotencyKey::new),
            endpoint: self.endpoint.clone().map(Into::into),
            from: self.from,
            until: self.until,
            dead_letter,
            page,
        })
    }
}

/// Lists events, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas inbox list --state dead --type RECORDING_UPLOADED
  jaas inbox list --session 7f4c1a52-6a63-4c1e-9d2b-8f7f5e0c9a10 --oldest-first
  jaas inbox list --after 4711        the next page, after row 4711")]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,

    /// How many, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Continues after this row
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,

    /// Lists the oldest first
    #[arg(long)]
    oldest_first: bool,
}

impl List {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let page = PageRequest {
            after: self.after.map(RowId::new),
            limit: self.limit,
            newest_first: !self.oldest_first,
        };
        let listed = store.events(&self.filter.query(store, page).await?).await?;
        let events: Vec<Value> = listed.items.iter().map(as_json).collect();
        output.result(&json!({"events": events, "next": listed.next}), || {
            let mut table = Table::new(["ROW", "STATE", "TYPE", "HAPPENED", "RUNS", "KEY", "NOTE"]);
            for event in &listed.items {
                let runs = event.failures.saturating_add(event.crashes).saturating_add(event.interruptions);
                table.row([
                    event.id.to_string(),
                    event.state.to_string(),
                    short(&event.event_type, 40),
                    event.occurred_at.to_string(),
                    runs.to_string(),
                    short(event.idempotency_key.as_str(), 40),
                    short(event.note.as_deref().unwrap_or_default(), 60),
                ]);
            }
            let is_nothing = listed.items.is_empty() && listed.next.is_none();
            let end = if is_nothing { "no event matches\n".into() } else { more(listed.next) };
            table.text() + &end
        })
    }
}

/// An event without its body.
fn as_json(event: &StoredEvent) -> Value {
    json!({
        "row": event.id,
        "endpoint": &*event.endpoint,
        "key": event.idempotency_key,
        "event_type": event.event_type,
        "session": event.session_id,
        "fqn": event.fqn,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "state": event.state.as_str(),
        "failures": event.failures,
        "crashes": event.crashes,
        "interruptions": event.interruptions,
        "completed": event.completed,
        "due_at": event.due_at,
        "settled_at": event.settled_at,
        "erased_at": event.erased_at,
        "worker": event.worker,
        "note": event.note,
        "trace_id": event.trace.as_ref().map(|trace| trace.trace_id()),
        "body_bytes": event.body.len(),
    })
}
