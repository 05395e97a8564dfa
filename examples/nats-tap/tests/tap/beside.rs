//! Why the tap has a second inbox: what happens when it is mounted beside the application's handler instead.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::{EventStore as _, MemoryStore, SessionOrder};
use jaas_core::{Backoff, Context, EventHandler, Handled, HandlerResult, Handlers, Worker};
use jaas_testkit::event;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::SOON;

/// Reports its runs; fails on the first event this often.
struct Reports {
    name: &'static str,
    failures: u32,
    runs: UnboundedSender<String>,
}

#[async_trait]
impl EventHandler for Reports {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let key = cx.envelope().idempotency_key.as_str();
        let fails = key == "first" && cx.attempt() <= self.failures;
        let how = if fails { "fails" } else { "runs" };
        self.runs.send(format!("{} {how} {key}", self.name)).expect("received");
        if fails { Err("the broker is away".into()) } else { Ok(Handled::Done) }
    }
}

/// Runs two events of a session with a tap that fails on the first one this often.
async fn runs(failures: u32, order: SessionOrder) -> Vec<String> {
    let store = Arc::new(MemoryStore::new());
    for (key, second) in [("first", 1), ("second", 2)] {
        let at = jaas_core::Timestamp::from_secs(1_795_420_800 + second);
        let event = event::participant_joined().key(key).in_session("s").at(at).delivery();
        store.accept(event).await.expect("accepted");
    }
    let (sender, mut receiver) = unbounded_channel();
    let handlers = Handlers::new()
        .plain("application", Reports { name: "application", failures: 0, runs: sender.clone() })
        .plain("tap", Reports { name: "tap", failures, runs: sender });
    let backoff =
        Backoff::default().initial_delay(Duration::from_millis(20)).max_delay(Duration::from_millis(20));
    let worker =
        Worker::builder(store, handlers).backoff(backoff).order(order).build().expect("built").spawn();
    let mut seen = Vec::new();
    // Two runs of the application, two of the tap, and the failures.
    while seen.len() < 4 + failures as usize {
        seen.push(timeout(SOON, receiver.recv()).await.expect("in time").expect("a run"));
    }
    worker.stop(SOON).await;
    seen
}

#[tokio::test]
async fn a_failing_slot_runs_alone_again_and_the_application_is_not_repeated() {
    let seen = runs(1, SessionOrder::default()).await;
    assert_eq!(
        seen,
        [
            "application runs first",
            "tap fails first",
            "tap runs first",
            "application runs second",
            "tap runs second"
        ]
    );
}

#[tokio::test]
async fn by_default_the_session_waits_for_three_failures_and_then_the_tap_is_out_of_order() {
    let seen = runs(5, SessionOrder::default()).await;
    let at = |run: &str| seen.iter().position(|seen| seen == run).expect(run);
    let before = seen[..at("application runs second")].iter().filter(|run| *run == "tap fails first").count();
    assert_eq!(before, 3, "the application waits: {seen:?}");
    assert!(at("tap runs second") < at("tap runs first"), "the tap is out of order: {seen:?}");
}

#[tokio::test]
async fn a_session_that_holds_longer_keeps_the_order_and_makes_the_application_wait() {
    let order = SessionOrder { hold_failures: u32::MAX, ..SessionOrder::default() };
    let seen = runs(5, order).await;
    let at = |run: &str| seen.iter().position(|seen| seen == run).expect(run);
    assert!(at("tap runs first") < at("application runs second"), "{seen:?}");
}
