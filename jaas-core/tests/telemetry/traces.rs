//! A trace context arrives with a delivery and follows the event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::store::{EventAdmin as _, EventQuery, MemoryStore};
use jaas_core::telemetry::{TraceContext, TracePropagator};
use jaas_core::{Direct, Inbox, Receiver};
use jaas_testkit::event;
use tokio::time::sleep;
use tracing::{Instrument as _, Span};

use crate::lines::Lines;
use crate::world::{AsTold, TRACE_ID, TRACEPARENT, deliver, deliver_in, handlers, receiver, worker};

/// A tracing system that knows the trace of each span.
#[derive(Clone, Default)]
struct Propagator(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    traces: HashMap<u64, TraceContext>,
    /// The name of each span that joined a trace, and the trace.
    extracted: Vec<(&'static str, TraceContext)>,
}

impl TracePropagator for Propagator {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        let known = self.0.lock().expect("not poisoned");
        let trace = known.traces.get(&span.id()?.into_u64())?;
        TraceContext::parse(&format!("00-{}-1234567890abcdef-01", trace.trace_id()), None)
    }

    fn extract(&self, span: &Span, trace: &TraceContext) {
        assert_ne!(Span::current().id(), span.id(), "it is not entered yet");
        let mut known = self.0.lock().expect("not poisoned");
        let id = span.id().expect("it is enabled").into_u64();
        known.traces.insert(id, trace.clone());
        known.extracted.push((span.metadata().expect("it is enabled").name(), trace.clone()));
    }
}

impl Propagator {
    fn extracted(&self) -> Vec<(&'static str, TraceContext)> {
        self.0.lock().expect("not poisoned").extracted.clone()
    }
}

fn caller() -> TraceContext {
    TraceContext::parse(TRACEPARENT, Some("vendor=1")).expect("valid")
}

fn continued() -> TraceContext {
    TraceContext::parse(&format!("00-{TRACE_ID}-1234567890abcdef-01"), None).expect("valid")
}

async fn stored(store: &MemoryStore) -> Option<TraceContext> {
    store.events(&EventQuery::default()).await.expect("listed").items.remove(0).trace
}

async fn deliver_one(receiver: &Receiver) {
    assert_eq!(deliver(receiver, event::room_created().key("k").body()).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn without_a_propagator_the_callers_context_is_kept_and_given_to_handlers() {
    let store = Arc::new(MemoryStore::new());
    deliver_one(&receiver(Inbox::new(store.clone())).build().expect("good")).await;
    assert_eq!(stored(&store).await, Some(caller()));
    let handler = AsTold::default();
    let worker = worker(store, handler.clone()).build().expect("good").spawn();
    sleep(Duration::from_secs(1)).await;
    worker.stop(Duration::ZERO).await;
    assert_eq!(*handler.0.lock().expect("not poisoned"), [Some(caller())]);

    let handler = AsTold::default();
    let direct = Direct::builder(handlers(handler.clone())).build().expect("good");
    deliver_one(&receiver(direct).build().expect("good")).await;
    assert_eq!(*handler.0.lock().expect("not poisoned"), [Some(caller())]);
}

#[tokio::test(start_paused = true)]
async fn a_propagator_joins_the_delivery_and_every_run_with_the_callers_trace() {
    let (lines, propagator) = (Lines::default(), Propagator::default());
    let _listening = lines.listen();
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).trace_propagator(propagator.clone());
    deliver_one(&receiver.build().expect("good")).await;
    assert_eq!(propagator.extracted(), [("jaas.delivery", caller())]);
    assert_eq!(
        stored(&store).await,
        Some(continued()),
        "the delivery's own span is the parent of what follows"
    );

    let handler = AsTold::default();
    let worker = worker(store, handler.clone()).trace_propagator(propagator.clone());
    let worker = worker.build().expect("good").spawn();
    sleep(Duration::from_secs(1)).await;
    worker.stop(Duration::ZERO).await;
    assert_eq!(propagator.extracted()[1..], [("jaas.event", continued())]);
    assert_eq!(*handler.0.lock().expect("not poisoned"), [Some(continued())]);
    for span in
        lines.spans().iter().filter(|span| ["jaas.delivery", "jaas.event"].contains(&span.metadata.name()))
    {
        assert_eq!(span.fields["trace_id"], TRACE_ID, "{span:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn inside_a_span_of_the_application_that_spans_trace_is_kept() {
    let (lines, propagator) = (Lines::default(), Propagator::default());
    let _listening = lines.listen();
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).trace_propagator(propagator.clone());
    let receiver = receiver.build().expect("good");
    let request = tracing::info_span!(target: "app", "request");
    deliver_one(&receiver).instrument(request).await;
    assert_eq!(propagator.extracted(), [], "its own middleware has done that");
    assert_eq!(stored(&store).await, Some(caller()), "this propagator knows nothing of that span");
    let spans = lines.spans();
    let delivery = spans.iter().find(|span| span.metadata.name() == "jaas.delivery").expect("opened");
    assert_eq!(delivery.parent.map(|place| spans[place].metadata.name()), Some("request"));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_header_refuses_no_delivery() {
    for header in ["", "00", "00-zz-zz-zz", "é", &"0".repeat(100_000)] {
        let store = Arc::new(MemoryStore::new());
        let receiver = receiver(Inbox::new(store.clone())).trace_propagator(Propagator::default());
        let receiver = receiver.build().expect("good");
        let reply = deliver_in(&receiver, event::room_created().key("k").body(), header).await;
        assert_eq!((reply.status(), stored(&store).await), (200, None));
    }
}
