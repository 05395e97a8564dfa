//! A stranger's text, anywhere in a body, cannot break a log line or control a terminal.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{Event, UnknownEvent};
use jaas_core::settings::{
    FailurePolicy, MeetingSettings, SettingsProvider, SettingsRequest, SettingsService,
};
use jaas_core::store::MemoryStore;
use jaas_core::telemetry::Escaped;
use jaas_core::{
    Backoff, Context, Direct, EventHandler, Handled, HandlerError, HandlerResult, Handlers, Inbox, Receiver,
    Worker,
};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::lines::Lines;
use crate::world::{NOW, deliver, receiver};

/// A forged line of a log, and a command to the terminal.
const PLANTED: &str = "\n2026-11-28T00:00:00Z ERROR forged\r\u{1b}[31m\u{9b}2J\u{2028}\u{202e}\0";

/// The mark by which a planted text is recognized.
const MARK: &str = "ERROR forged";

/// The printed output of an ordinary subscriber.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Printed {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Fails with a text from the event, as handlers do.
struct Quotes;

impl Quotes {
    fn quote(cx: &Context<'_>) -> HandlerResult {
        let said = format!("cannot keep {} {}", cx.data(), PLANTED);
        match cx.envelope().idempotency_key.as_str().split('-').next() {
            Some("retry") => Err(HandlerError::retry(said)),
            Some("permanent") => Err(HandlerError::permanent(said)),
            Some("panic") if cx.attempt() < 2 => panic!("{said}"),
            Some("ignore") => Ok(Handled::ignored(said)),
            _ => Ok(Handled::Done),
        }
    }
}

#[async_trait]
impl EventHandler for Quotes {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        Self::quote(cx)
    }

    async fn unknown(&self, cx: &mut Context<'_>, _: &UnknownEvent<'_>) -> HandlerResult {
        Self::quote(cx)
    }
}

#[async_trait]
impl SettingsProvider for Quotes {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        Err(format!("no settings for {}", request.fqn).into())
    }
}

/// Every text of an event is planted; the type is known or not.
fn event(key: &str, event_type: &str, data: &Value) -> String {
    // U+0000 makes an envelope invalid, which is another case.
    let planted = PLANTED.trim_end_matches('\0');
    json!({
        "idempotencyKey": format!("{key}-{planted}"), "eventType": event_type, "customerId": PLANTED,
        "appId": PLANTED, "sessionId": planted, "fqn": format!("{planted}/{planted}"), "timestamp": PLANTED,
        "data": data, (PLANTED): PLANTED,
    })
    .to_string()
}

fn bodies() -> Vec<String> {
    let person = json!({"participantId": PLANTED, "name": PLANTED, "id": PLANTED, "moderator": PLANTED,
        "breakoutRoomId": PLANTED, "disconnectReason": PLANTED, "role": PLANTED, (PLANTED): PLANTED});
    let mut bodies = Vec::new();
    for key in ["done", "retry", "permanent", "panic", "ignore"] {
        bodies.push(event(key, "PARTICIPANT_LEFT", &person));
        bodies.push(event(
            &format!("{key}-unknown"),
            &format!("NEW{}", PLANTED.trim_end_matches('\0')),
            &person,
        ));
        bodies.push(event(&format!("{key}-shape"), "PARTICIPANT_JOINED", &json!([PLANTED])));
    }
    // A conflict.
    bodies.push(event("done", "PARTICIPANT_LEFT", &json!({"name": "another"})));
    // No valid envelope.
    bodies.push(event("nul", "PARTICIPANT_LEFT", &person).replacen("nul-", "nul\\u0000", 1));
    bodies.push(format!("{{\"a\":{PLANTED}}}"));
    bodies.push(json!({"idempotencyKey": {(PLANTED): 1}, "eventType": PLANTED}).to_string());
    // Settings questions.
    bodies.push(json!({"fqn": format!("app/{PLANTED}")}).to_string());
    bodies.push(json!({"fqn": {(PLANTED): 1}, "eventType": "SETTINGS_PROVISIONING"}).to_string());
    bodies
}

async fn deliver_all(receiver: &Receiver) {
    for body in bodies() {
        deliver(receiver, body.clone()).await;
        // A copy.
        deliver(receiver, body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn planted_text_breaks_no_line_in_events_and_spans() {
    let (lines, printed) = (Lines::default(), Printed::default());
    let formatted = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(printed.clone());
    {
        let subscriber = tracing_subscriber::registry().with(lines.clone()).with(formatted);
        let _listening = tracing::subscriber::set_default(subscriber);
        let service =
            || SettingsService::builder(Quotes, FailurePolicy::fail_closed()).build().expect("good");

        let store = Arc::new(MemoryStore::new());
        deliver_all(&receiver(Inbox::new(store.clone())).settings(service()).build().expect("good")).await;
        let worker = Worker::builder(store, Handlers::new().plain("quotes", Quotes))
            .clock(|| NOW)
            .backoff(Backoff::default().max_failures(2))
            .build()
            .expect("good")
            .spawn();
        sleep(Duration::from_secs(600)).await;
        worker.stop(Duration::ZERO).await;

        let direct = Direct::builder(Handlers::new().plain("quotes", Quotes)).build().expect("good");
        deliver_all(&receiver(direct).settings(service()).build().expect("good")).await;
    }

    let printed = String::from_utf8(printed.0.lock().expect("not poisoned").clone()).expect("UTF-8");
    assert!(printed.matches(MARK).count() > 50, "planted text is logged: {printed}");
    for line in printed.split('\n') {
        assert!(
            line.is_empty() || line.starts_with("20") && line.contains("jaas"),
            "a forged line: {line:?}"
        );
        assert_eq!(Escaped(line).to_string(), line, "nothing is left to escape");
    }
    // And before any subscriber has escaped it.
    for line in lines.lines() {
        for (name, value) in &line.fields {
            assert_eq!(Escaped(value).to_string(), *value, "{name} of {}", line.text);
        }
    }
    let spans = lines.spans();
    assert!(spans.iter().any(|span| span.fields.get("key").is_some_and(|key| key.contains(MARK))));
    for span in spans {
        for (name, value) in &span.fields {
            assert_eq!(Escaped(value).to_string(), *value, "{name} of {}", span.metadata.name());
        }
    }
}
