//! Instructions and allocations per event: verifying, receiving, and handling inside the request.
//!
//! `.ci/check-cost` runs it, compares with the figures that are committed, and prints both. By hand, with valgrind and
//! `gungraun-runner` installed: `cargo bench -p cost --bench received`. The events are the examples of
//! 8x8's page, each with its own key; every figure is the sum over [`ROUNDS`] of all of them.
#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;

use async_trait::async_trait;
use gungraun::{Callgrind, Dhat, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use jaas_core::event::ParticipantJoined;
use jaas_core::{
    Auth, Context, Credentials, Direct, DispatchError, Dispatcher, Disposition, EventHandler, Handled,
    HandlerResult, Handlers, Incoming, Receiver, Reply, Timestamp,
};
use jaas_testkit::fixture::{DOCUMENTED, with_key};
use jaas_testkit::{SignedRequest, Signer};
use metrics_util::registry::{AtomicStorage, Registry};
use tokio::runtime::{Builder, Runtime};

/// How often each event is sent, with another key each time. `.ci/check-cost` divides by it.
const ROUNDS: usize = 10;
const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

/// Everything that is there before the first event.
struct Ready<T> {
    runtime: Runtime,
    subject: T,
    requests: Vec<SignedRequest>,
}

impl<T> Ready<T> {
    /// The subject, after some events: tables have grown, and what is made at first use is made.
    fn new(make: impl FnOnce() -> T, take: &impl AsyncFn(&T, SignedRequest)) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let subject = runtime.block_on(async { make() });
        for request in requests("warm", 3 * ROUNDS) {
            runtime.block_on(take(&subject, request));
        }
        Self { runtime, subject, requests: requests("measured", ROUNDS) }
    }
}

fn requests(run: &str, rounds: usize) -> Vec<SignedRequest> {
    let signer = Signer::new(SECRET).expect("a good secret");
    let bodies = (0..rounds).flat_map(|round| {
        DOCUMENTED
            .iter()
            .map(move |event| with_key(event.body, &format!("{run}-{}-{round:08}-0b7e4c069a83", event.name)))
    });
    bodies.map(|body| signer.sign(NOW, body.expect("a key"))).collect()
}

fn auth() -> Auth {
    Auth::signature([SECRET]).expect("a good secret")
}

/// Takes every event at once.
struct Stub;

#[async_trait]
impl Dispatcher for Stub {
    async fn dispatch(&self, incoming: Incoming) -> Result<Disposition, DispatchError> {
        black_box(incoming);
        Ok(Disposition::Stored)
    }
}

/// A handler of one event type; the others are ignored.
struct Joined;

#[async_trait]
impl EventHandler for Joined {
    async fn participant_joined(&self, cx: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        black_box((cx.envelope(), event));
        Ok(Handled::Done)
    }
}

fn receiver(dispatcher: impl Dispatcher) -> Receiver {
    Receiver::builder("main", auth(), dispatcher).clock(|| NOW).build().expect("a good configuration")
}

fn handling() -> Receiver {
    receiver(Direct::builder(Handlers::new().plain("joined", Joined)).build().expect("a good configuration"))
}

async fn receive(receiver: &Receiver, SignedRequest { signature, body }: SignedRequest) {
    let credentials = Credentials { signature: Some(&signature), authorization: None };
    let reply = receiver.receive(credentials, body).await;
    assert!(matches!(reply, Reply::Received(_)), "{reply}");
}

fn verifying() -> Ready<Auth> {
    Ready::new(auth, &async |auth: &Auth, request: SignedRequest| verify(auth, &request))
}

fn verify(auth: &Auth, request: &SignedRequest) {
    black_box(auth.check(request.credentials(), &request.body, NOW).expect("genuine"));
}

fn receiving() -> Ready<Receiver> {
    Ready::new(|| receiver(Stub), &receive)
}

fn direct() -> Ready<Receiver> {
    Ready::new(handling, &receive)
}

/// The same with a recorder and a subscriber: metrics are kept, and warnings are written.
fn observed() -> Ready<Receiver> {
    metrics::set_global_recorder(Kept(Registry::atomic())).expect("the first recorder");
    let warnings = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
    tracing::subscriber::set_global_default(warnings.finish()).expect("the first subscriber");
    Ready::new(handling, &receive)
}

/// Keeps metrics as exporters do.
struct Kept(Registry<metrics::Key, AtomicStorage>);

impl metrics::Recorder for Kept {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        self.0.get_or_create_counter(key, |counter| counter.clone().into())
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        self.0.get_or_create_gauge(key, |gauge| gauge.clone().into())
    }

    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        self.0.get_or_create_histogram(key, |histogram| histogram.clone().into())
    }
}

#[library_benchmark]
#[bench::requests(setup = verifying)]
fn verified(ready: Ready<Auth>) -> Ready<Auth> {
    for request in &ready.requests {
        verify(&ready.subject, request);
    }
    ready
}

#[library_benchmark]
#[bench::stub(setup = receiving)]
#[bench::direct(setup = direct)]
#[bench::observed(setup = observed)]
fn received(mut ready: Ready<Receiver>) -> Ready<Receiver> {
    let requests = std::mem::take(&mut ready.requests);
    ready.runtime.block_on(async {
        for request in requests {
            receive(&ready.subject, request).await;
        }
    });
    ready
}

library_benchmark_group!(name = events, benchmarks = [verified, received]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::default()).tool(Dhat::default()),
    library_benchmark_groups = events
);
