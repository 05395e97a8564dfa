//! A transactional handler runs on a thread of the store, but inside its span and under the caller's subscriber. The trace of
//! an event survives the process. This is a separate binary, because tests on other threads without a subscriber could disable
//! its log lines.
#![cfg(feature = "sqlite")]
#![allow(clippy::expect_used)]

#[path = "../../jaas-core/tests/support/lines.rs"]
mod lines;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::{EventAdmin as _, EventQuery, EventState};
use jaas_core::telemetry::{TraceContext, TracePropagator};
use jaas_core::{
    Auth, Context, EventHandler, Handled, HandlerResult, Handlers, Inbox, Receiver, RequestHead, Worker,
};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use jaas_testkit::{Signer, event};
use tokio::sync::watch;
use tracing::Span;

use self::lines::Lines;

const SECRET: &str = "whsec_00000000000000000000000000000000";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Logs {
    seen: Arc<Mutex<Option<TraceContext>>>,
    thread: Arc<Mutex<Option<String>>>,
    ran: watch::Sender<bool>,
}

#[async_trait]
impl EventHandler<Connection> for Logs {
    async fn any_event(&self, cx: &mut Context<'_, Connection>, _: &Event) -> HandlerResult {
        *self.seen.lock().expect("not poisoned") = cx.delivery().trace.clone();
        *self.thread.lock().expect("not poisoned") = std::thread::current().name().map(str::to_owned);
        tracing::info!(target: "app", "at work");
        self.ran.send_replace(true);
        Ok(Handled::Done)
    }
}

/// Remembers which spans it was asked to connect with which traces.
#[derive(Clone, Default)]
struct Joined(Arc<Mutex<Vec<(&'static str, TraceContext)>>>);

impl TracePropagator for Joined {
    fn inject(&self, _: &Span) -> Option<TraceContext> {
        None
    }

    fn extract(&self, span: &Span, trace: &TraceContext) {
        let name = span.metadata().map_or("", tracing::Metadata::name);
        self.0.lock().expect("not poisoned").push((name, trace.clone()));
    }
}

#[tokio::test]
async fn a_transactional_handler_is_inside_its_span_and_its_trace_and_under_the_callers_subscriber() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inbox.sqlite");
    let store = SqliteStore::open(&path).await.expect("opened");
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver = Receiver::builder("main", auth, Inbox::new(store.clone())).build().expect("good");
    let request = Signer::new(SECRET)
        .expect("good")
        .sign(jaas_core::Clock::now(&jaas_core::SystemClock), event::room_created().key("k").body());
    let head = RequestHead::from_lines(|name| match name {
        "x-jaas-signature" => Some(&*request.signature),
        "traceparent" => Some(TRACEPARENT),
        _ => None,
    });
    assert_eq!(receiver.receive(head, request.body.clone()).await.status(), 200);
    store.close().await;

    let trace = TraceContext::parse(TRACEPARENT, None).expect("valid");
    let store = SqliteStore::open(&path).await.expect("opened again");
    let (ran, mut is_run) = watch::channel(false);
    let (seen, thread, joined) = (Arc::default(), Arc::default(), Joined::default());
    let handler = Logs { seen: Arc::clone(&seen), thread: Arc::clone(&thread), ran };
    let handlers = Handlers::new().transactional("logs", handler);
    let worker = Worker::builder(store.clone(), handlers)
        .trace_propagator(joined.clone())
        .build()
        .expect("good")
        .spawn();
    tokio::time::timeout(Duration::from_secs(30), is_run.wait_for(|ran| *ran))
        .await
        .expect("it ran")
        .expect("alive");
    worker.stop(Duration::from_secs(10)).await;

    assert_eq!(*seen.lock().expect("not poisoned"), Some(trace.clone()));
    assert_eq!(*joined.0.lock().expect("not poisoned"), [("jaas.event", trace.clone())]);
    assert_eq!(
        thread.lock().expect("not poisoned").as_deref(),
        Some("jaas-sqlite-tx"),
        "the handler runs on the thread of the store"
    );
    let spans = lines.spans();
    let line = lines
        .lines()
        .into_iter()
        .find(|line| line.target == "app")
        .expect("the scoped subscriber has the line");
    let handle = &spans[line.span.expect("inside of a span")];
    assert_eq!(
        (handle.metadata.name(), &*handle.fields["mode"], &*handle.fields["outcome"]),
        ("jaas.handle", "transactional", "done")
    );
    let around = &spans[handle.parent.expect("inside of another")];
    assert_eq!(
        (around.metadata.name(), &*around.fields["key"], &*around.fields["trace_id"]),
        ("jaas.event", "k", trace.trace_id())
    );
    let stored = store.events(&EventQuery::default()).await.expect("listed").items.remove(0);
    assert_eq!((stored.state, stored.trace), (EventState::Done, Some(trace)));
    store.close().await;
}
