//! A handler that does what the key of an event requests, and a worker and a receiver around it.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::EventStore;
use jaas_core::telemetry::TraceContext;
use jaas_core::{
    Auth, Context, Dispatcher, EventHandler, Handled, HandlerError, HandlerResult, Handlers, Receiver,
    ReceiverBuilder, Timestamp, Worker, WorkerBuilder,
};
use jaas_testkit::Signer;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
pub(crate) const SECRET: &str = "whsec_00000000000000000000000000000000";
pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Does what the key says before the first `-`, and keeps the traces it was given.
#[derive(Clone, Default)]
pub(crate) struct AsTold(pub(crate) Arc<Mutex<Vec<Option<TraceContext>>>>);

#[async_trait]
impl EventHandler for AsTold {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        self.0.lock().expect("not poisoned").push(cx.delivery().trace.clone());
        tracing::info!(target: "app", "at work");
        match cx.envelope().idempotency_key.as_str().split('-').next() {
            Some("ignore") => Ok(Handled::ignored("nothing to do")),
            Some("retry") if cx.attempt() < 3 => Err("not yet".into()),
            Some("permanent") => Err(HandlerError::permanent("never")),
            Some("panic") if cx.attempt() < 2 => panic!("at the disco"),
            Some("hang") if cx.attempt() < 2 => pending().await,
            _ => Ok(Handled::Done),
        }
    }
}

pub(crate) fn handlers(handler: AsTold) -> Handlers {
    Handlers::new().plain("scripted", handler)
}

pub(crate) fn worker<S: EventStore<Tx = ()>>(store: S, handler: AsTold) -> WorkerBuilder<S> {
    let worker = Worker::builder(store, handlers(handler)).name("w-1").clock(|| NOW);
    worker.handler_timeout(Duration::from_secs(2))
}

pub(crate) fn receiver(dispatcher: impl Dispatcher) -> ReceiverBuilder {
    let auth = Auth::signature([SECRET]).expect("good");
    Receiver::builder("main", auth, dispatcher).clock(|| NOW)
}

/// A body, signed three seconds ago, as a proxy with tracing forwards it.
pub(crate) async fn deliver(receiver: &Receiver, body: impl Into<bytes::Bytes>) -> jaas_core::Reply {
    deliver_in(receiver, body, TRACEPARENT).await
}

pub(crate) async fn deliver_in(
    receiver: &Receiver,
    body: impl Into<bytes::Bytes>,
    traceparent: &str,
) -> jaas_core::Reply {
    let signed_at = NOW.saturating_sub(Duration::from_secs(3));
    let request = Signer::new(SECRET).expect("good").sign(signed_at, body);
    let head = jaas_core::RequestHead::from_lines(|name| match name {
        "x-jaas-signature" => Some(&*request.signature),
        "traceparent" => Some(traceparent),
        "tracestate" => Some("vendor=1"),
        _ => None,
    });
    receiver.receive(head, request.body.clone()).await
}
