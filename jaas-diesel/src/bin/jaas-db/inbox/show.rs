//! `jaas inbox show` and `explain`: the life of an event.

use clap::Args;
use jaas_core::store::{EventAdmin, EventLife, RowId};
use jaas_core::telemetry::Escaped;
use jaas_core::{Clock as _, IdempotencyKey, SystemClock};
use serde_json::{Value, json};

use super::operator::Operator;
use crate::failure::Failure;
use crate::output::Output;

/// Shows the life of one event by its row
#[derive(Debug, Args)]
#[command(after_help = "\
The body is shown only with --reveal, and the audit records who looked at it.

Examples:
  jaas inbox show 4711
  jaas inbox show 4711 --reveal --reason 'the customer asks'")]
pub(super) struct Show {
    /// The event's row
    row: i64,

    /// Shows the body, too, and records that in the audit
    #[arg(long)]
    reveal: bool,

    #[command(flatten)]
    operator: Operator,
}

impl Show {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let event = RowId::new(self.row);
        let now = SystemClock.now();
        if self.reveal {
            store.reveal(event, &self.operator.note()?, now).await?;
        }
        let Some(life) = EventLife::of(store, event, now).await? else {
            return Err(Failure::no(format!("there is no event {event}; it may have been purged")));
        };
        let mut json = as_json(&life)?;
        let body = String::from_utf8_lossy(&life.event.body);
        if let (true, Value::Object(members)) = (self.reveal, &mut json) {
            members.insert("body".into(), json!(body));
        }
        output.result(&json, || {
            let revealed = if self.reveal { format!("  {}\n", Escaped(&body)) } else { String::new() };
            life.to_string() + &revealed
        })
    }
}

/// Shows the life of the events with a key: one for each endpoint that received it
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The idempotency key
    key: String,

    /// Only the event that this endpoint received
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
}

impl Explain {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let key = IdempotencyKey::new(&*self.key);
        let endpoint = self.endpoint.clone().map(Into::into);
        let lives = EventLife::of_key(store, endpoint, &key, SystemClock.now()).await?;
        if lives.is_empty() {
            return Err(Failure::no(format!(
                "no event has the key {key}: it never came, was purged, or its body could not be parsed and is in \
                 quarantine"
            )));
        }
        let json: Vec<Value> = lives.iter().map(as_json).collect::<Result<_, _>>()?;
        output.result(&json!({"events": json}), || {
            lives.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })
    }
}

fn as_json(life: &EventLife) -> Result<Value, Failure> {
    serde_json::to_value(life)
        .map_err(|error| Failure::no(format!("cannot write the event as JSON: {error}")))
}
