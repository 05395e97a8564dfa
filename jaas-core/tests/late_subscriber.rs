//! What tasks log that were started before the application's subscriber. One test in a separate binary, because the
//! subscriber is global.
#![allow(clippy::expect_used)]

#[path = "support/lines.rs"]
mod lines;

use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::signature::Tolerance;
use jaas_core::store::{EventStore as _, MemoryStore, Retention};
use jaas_core::{
    Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, Monitor, Purger, Timestamp, Worker,
};
use jaas_testkit::{Fault, FaultyStore, Op, event};
use tokio::time::sleep;

use crate::lines::Lines;

struct Speaks;

#[async_trait]
impl EventHandler for Speaks {
    async fn any_event(&self, _: &mut Context<'_>, _: &Event) -> HandlerResult {
        tracing::info!(target: "app", "at work");
        Ok(Handled::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn the_global_subscriber_receives_the_logs_of_tasks_that_started_before_it() {
    let now = || Timestamp::from_secs(1_795_420_800);
    let store = FaultyStore::new(MemoryStore::new());
    store.outage([Op::Stats, Op::Purge], Fault::Before);
    let handlers = Handlers::new().plain("speaks", Speaks);
    let worker = Worker::builder(store.clone(), handlers).clock(now).build().expect("good").spawn();
    let monitor = Monitor::new(store.clone()).spawn().expect("spawned");
    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    let purger = Purger::new(store.clone(), retention).spawn().expect("spawned");

    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.subscriber()).expect("the first");
    let body = event::room_created().key("k").body();
    store.accept(Delivery::parse("main", now(), body).expect("an envelope")).await.expect("accepted");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(lines.of("app"), ["INFO at work"], "a handler, in a task of the worker's task");
    let said = lines.of("jaas::store");
    assert!(said.iter().any(|line| line.contains("cannot be counted")), "the monitor: {said:?}");
    assert!(said.iter().any(|line| line.contains("purge failed")), "the purger: {said:?}");
    assert!(!lines.of("jaas::work").is_empty(), "the worker itself");
    let spans: Vec<_> = lines.spans().iter().map(|span| span.metadata.name()).collect();
    assert!(spans.contains(&"jaas.claim") && spans.contains(&"jaas.handle"), "{spans:?}");

    worker.stop(Duration::from_secs(1)).await;
    monitor.stop().await;
    purger.stop().await;
}
