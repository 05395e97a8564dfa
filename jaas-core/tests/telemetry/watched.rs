//! A recording whose `RECORDING_UPLOADED` comes late.

use std::sync::Arc;
use std::time::Duration;

use jaas_core::store::{EventStore as _, MemoryStore};
use jaas_core::watch::{GapHandler, Watch};
use jaas_core::{Clock as _, Delivery, Handlers, Timestamp, Worker};
use jaas_testkit::TokioClock;
use tokio::time::sleep;

use crate::world::NOW;

struct Nothing;
impl GapHandler for Nothing {}

fn event(kind: &str, at: Timestamp, data: &str) -> Delivery {
    let body = format!(
        r#"{{"idempotencyKey":"{kind}","eventType":"{kind}","sessionId":"s-1","fqn":"app/math","timestamp":{},"data":{data}}}"#,
        at.as_millis()
    );
    Delivery::parse("main", at, body.into()).expect("an envelope")
}

/// Lets an auditor find the gap, and see it close.
pub(crate) async fn watched() {
    let store = Arc::new(MemoryStore::new());
    let clock = TokioClock::starting_at(NOW);
    let watch = Watch::builder(store.clone()).clock(clock).build().expect("good");
    let handlers = Handlers::new().transactional("watch", watch.handler());
    // A day of the paused clock: a worker that looks each second would compute for seconds.
    let worker = Worker::builder(store.clone(), handlers).clock(clock).poll_interval(Duration::from_secs(60));
    let worker = worker.build().expect("good").spawn();
    let auditor = watch.spawn(Nothing);
    for kind in ["RECORDING_STARTED", "RECORDING_ENDED"] {
        store.accept(event(kind, clock.now(), "{}")).await.expect("accepted");
    }
    let ended = clock.now();
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    let data = format!(r#"{{"endTimestamp":{}}}"#, ended.as_millis());
    store.accept(event("RECORDING_UPLOADED", clock.now(), &data)).await.expect("accepted");
    sleep(Duration::from_secs(2 * 60 * 60)).await;
    worker.stop(Duration::ZERO).await;
    auditor.stop(Duration::ZERO).await;
}
