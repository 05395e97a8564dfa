//! `jaas send`.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use clap::builder::PossibleValuesParser;
use jaas_core::event::EventKind;
use jaas_core::{Clock as _, Envelope, SystemClock, Timestamp};
use jaas_testkit::event;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options::{self, Secrets, To};
use crate::output::Output;
use crate::values;

/// Sends one signed event
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas send PARTICIPANT_JOINED --url http://127.0.0.1:8080/webhooks/jaas
  jaas send POLL_CREATED --url … --room standup --set 'data.question=Lunch?' --without appId
  jaas send ROOM_CREATED --url … --key k1       # twice: the second is a duplicate
  jaas send ROOM_CREATED --url … --key k1 --at now  # a conflict, if k1 was sent before
  jaas send --file body.json --url …            # byte for byte, with its own key
  jaas send ROOM_CREATED --url … --dry-run      # shows headers and body, and sends nothing")]
pub(crate) struct Send {
    /// The event's type
    #[arg(value_name = "EVENT", required_unless_present = "file", ignore_case = true, hide_possible_values = true,
          value_parser = PossibleValuesParser::new(EventKind::ALL.iter().map(|kind| kind.as_str())))]
    event: Option<String>,

    /// Sends the bytes of this file unchanged; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event", "set", "without", "key", "at", "room", "session"])]
    file: Option<PathBuf>,

    /// Sets a field to JSON, or else to text, as in data.name=Ada or data.moderator=true
    #[arg(long, value_name = "PATH=VALUE", value_parser = values::assignment)]
    set: Vec<(String, Value)>,

    /// Omits a field
    #[arg(long, value_name = "PATH")]
    without: Vec<String>,

    /// The idempotency key; otherwise a new one. The same options send the same body, so a duplicate and not a conflict
    #[arg(long)]
    key: Option<String>,

    /// When it happened, or `now`; otherwise now, and with --key a fixed time, so that the same key has the same body
    #[arg(long, value_name = "TIME", value_parser = values::time_or_now)]
    at: Option<Timestamp>,

    /// The room; otherwise math
    #[arg(long)]
    room: Option<String>,

    /// The session; otherwise that of the fixtures
    #[arg(long)]
    session: Option<String>,

    /// The time in the signature; otherwise now
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    signed_at: Option<Timestamp>,

    /// Shows what would be sent
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    to: To,

    #[command(flatten)]
    secrets: Secrets,
}

impl Send {
    pub(crate) async fn run(&self, output: &Output) -> Result<(), Failure> {
        let signer = self.secrets.signer()?;
        let target = self.to.target()?;
        let body = self.body()?;
        let request = signer.sign(self.signed_at.unwrap_or_else(|| SystemClock.now()), body.clone());
        if self.dry_run {
            let headers: serde_json::Map<String, Value> =
                request.headers().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let text = String::from_utf8_lossy(&body).into_owned();
            let json = json!({ "url": self.to.url, "headers": headers, "body": text });
            return Ok(output.result(&json, || {
                let lines = request.headers().map(|(name, value)| format!("{name}: {value}\n"));
                format!("POST {}\n{}\n{text}\n", self.to.url, lines.concat())
            })?);
        }
        let began = Instant::now();
        let asked = target.ask(request.body.clone(), Some(&request.signature));
        let answered = tokio::time::timeout(self.to.via.timeout, asked).await;
        let (status, _) = answered.map_err(|_| {
            Failure::no_server(format!(
                "no response within {:?}; JaaS would send it again",
                self.to.via.timeout
            ))
        })??;
        let millis = began.elapsed().as_secs_f64() * 1000.0;

        let envelope = Envelope::parse(&body).ok();
        let event_type = envelope.as_ref().map_or("a body without envelope", |envelope| &envelope.event_type);
        let key = envelope.as_ref().map(|envelope| envelope.idempotency_key.as_str());
        let json = json!({ "eventType": envelope.as_ref().map(|envelope| &envelope.event_type), "idempotencyKey": key, "status": status, "ms": millis });
        output.result(&json, || {
            let key = key.map(|key| format!(" ({key})")).unwrap_or_default();
            format!("{event_type}{key}: {status} in {millis:.1} ms\n")
        })?;
        if (200..300).contains(&status) { Ok(()) } else { Err(Failure::no(advice(status))) }
    }

    fn body(&self) -> Result<Bytes, Failure> {
        if let Some(file) = &self.file {
            return Ok(options::read(file)?.into());
        }
        let kind = EventKind::from_wire(&self.event.as_deref().unwrap_or_default().to_ascii_uppercase());
        let fixture = event::of(kind);
        let (event, at) = match &self.key {
            // Use the time of the fixture: with the time of sending, the same key would have a different body each
            // time, a conflict.
            Some(key) => (fixture.key(key.as_str()), self.at),
            None => (fixture.key(random_key()?), Some(self.at.unwrap_or_else(|| SystemClock.now()))),
        };
        let mut event = match at {
            Some(at) => event.at(at),
            None => event,
        };
        if let Some(room) = &self.room {
            event = event.in_room(room);
        }
        if let Some(session) = &self.session {
            event = event.in_session(session.as_str());
        }
        for (path, value) in &self.set {
            if !has_place(&event.json(), path) {
                return Err(Failure::usage(format!("{kind} has no field {path}; set its parent first")));
            }
            event = event.set(path, value.clone());
        }
        Ok(self.without.iter().fold(event, |event, path| event.without(path)).body())
    }
}

/// Whether a field can be set at this path: in an object, which is created if necessary, or in a list that is long
/// enough.
fn has_place(body: &Value, path: &str) -> bool {
    let mut around = Some(body);
    for name in path.split('.') {
        around = match around {
            None => None,
            Some(Value::Object(fields)) => fields.get(name),
            Some(Value::Array(elements)) => {
                match name.parse::<usize>().ok().and_then(|index| elements.get(index)) {
                    Some(element) => Some(element),
                    None => return false,
                }
            }
            Some(_) => return false,
        };
    }
    true
}

/// What JaaS would do, and what to check.
fn advice(status: u16) -> String {
    let look = match status {
        401 => {
            "the signature was refused: is this the secret of that endpoint? The server's log has the reason: with \
                body_missing a middleware of the server read the body first, and the secret is not the cause. `jaas verify` \
                examines signatures"
        }
        404 => "no webhook is mounted at this path",
        405 => "this path does not accept POST",
        413 => "the body is larger than the server accepts",
        503 => "the server cannot accept it now: is its store available?",
        _ => "the server's log has the reason",
    };
    format!("{status} is not a 2xx, so JaaS would send it again; {look}")
}

/// A UUID.
fn random_key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::usage(format!("cannot generate a random key: {error}; pass one with --key"))
    })?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
