//! A lease that is lost under a handler that cannot be aborted. A separate binary, because tests on other threads
//! without a subscriber could silence its lines.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

#[path = "support/lines.rs"]
mod lines;
#[path = "worker/store.rs"]
mod store;
#[path = "worker/world.rs"]
mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::Clock as _;
use jaas_core::store::{ClaimRequest, EventStore as _};

use crate::lines::Lines;
use crate::store::Op;
use crate::world::{HOUR, SECOND, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_lease_is_logged_once_however_long_its_handler_blocks_its_thread() {
    let lines = Lines::default();
    let _logging = lines.listen();
    let world = World::new();
    let (go_on, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let handler = world.acting(move |delivery| {
        let released = released.clone();
        async move {
            if delivery.envelope.idempotency_key.as_str() == "blocks" {
                // No handler should do this, and the worker cannot abort it.
                let _ = released.lock().expect("unpoisoned").recv();
            }
            std::future::pending().await
        }
    });
    let worker = world.worker(&handler).lease(SECOND / 5).handler_timeout(HOUR).build();
    let worker = worker.expect("built").spawn();
    world.arrives("blocks", None, 0).await;
    handler.wait_for(1).await;
    // Another process, whose clock is far ahead, considers the running event crashed.
    let later = world.clock.now().saturating_add(HOUR);
    let taken = world.store.claim(&ClaimRequest::new("other", later, 10)).await.expect("claimed");
    assert_eq!(taken.len(), 1);
    // Without it there would soon be no lease left to renew.
    world.arrives("waits", None, 0).await;
    handler.wait_for(2).await;
    let enough = world.store.calls(Op::Renew) + 4;
    let mut changes = world.store.changes();
    while world.store.calls(Op::Renew) < enough {
        changes.changed().await.expect("the store is alive");
    }
    let lost = || lines.of("jaas::work").iter().filter(|line| line.contains("lease lost")).count();
    assert_eq!(lost(), 1, "{:?}", lines.of("jaas::work"));

    drop(go_on);
    let stopped = worker.stop(Duration::ZERO).await;
    assert_eq!((stopped.drained, stopped.interrupted), (0, 1), "the other event was lost before");
    assert_eq!(lost(), 1);
}
