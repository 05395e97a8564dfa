//! What the benchmarks share. Each of them uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

use std::future::Future;
use std::time::{Duration, Instant};

use jaas_core::store::{Accepted, EventStore};
use jaas_core::{Clock as _, Delivery, SystemClock};

#[path = "../../tests/support/server.rs"]
pub(crate) mod server;

/// The result of a measurement: the rate per second, the median wait, its 99th percentile and its maximum.
#[derive(Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Speed {
    pub(crate) fn of(mut waits: Vec<Duration>, took: Duration) -> Self {
        waits.sort();
        let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
        let longest = waits.last().copied().unwrap_or_default();
        Self { rate: waits.len() as f64 / took.as_secs_f64(), p50: at(50), p99: at(99), longest }
    }
}

/// Makes a call so many times, from so many concurrent tasks.
pub(crate) async fn concurrently<F, R>(callers: usize, times: usize, work: F) -> Speed
where
    F: Fn(usize) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(times / callers);
                for number in 0..times / callers {
                    let begun = Instant::now();
                    work(caller * times + number).await;
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    Speed::of(waits, started.elapsed())
}

/// Accepts so many new events from so many concurrent callers.
pub(crate) async fn accepted<S: EventStore + Clone>(store: &S, callers: usize, events: usize) -> Speed {
    let store = store.clone();
    let run = prefix();
    concurrently(callers, events, move |number| {
        let (store, run) = (store.clone(), run.clone());
        async move {
            let accepted = store.accept(delivery(&format!("{run}-{number}"))).await.unwrap();
            assert_eq!(accepted, Accepted::New);
        }
    })
    .await
}

pub(crate) fn prefix() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("{:08x}", RandomState::new().hash_one(1) as u32)
}

/// An event as JaaS sends it, in its own session.
pub(crate) fn delivery(key: &str) -> Delivery {
    Delivery::parse("main", SystemClock.now(), body(key).into()).unwrap()
}

pub(crate) fn body(key: &str) -> String {
    format!(
        r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":"s-{key}","timestamp":1795420800000,"fqn":"vpaas-magic-cookie-1/math","data":{{"participantId":"3988218d","name":"Ada","moderator":"true","id":"user-1","participantJid":"2c5d3a30@8x8.vc"}}}}"#
    )
}

/// The columns of a plain insert, and their values, made from `$1` or another placeholder for the key.
pub(crate) const COLUMNS: &str = "endpoint, idempotency_key, event_type, session_id, fqn, occurred_at, received_at, body, \
                           body_hash, state, completed, due_at, ordering_key, place";

/// How many events to try with so many callers.
pub(crate) fn events(callers: usize) -> usize {
    if callers == 1 { 2_000 } else { 60_000 / callers * callers }
}

/// Whether to measure this database: the command line names it, or names none.
pub(crate) fn wanted(what: &str) -> bool {
    let mut named = arguments().filter(|argument| argument.parse::<usize>().is_err()).peekable();
    named.peek().is_none() || named.any(|named| named == what)
}

/// The numbers of callers to measure with: those on the command line, or else these.
pub(crate) fn callers(otherwise: &[usize]) -> Vec<usize> {
    let named: Vec<usize> = arguments().filter_map(|argument| argument.parse().ok()).collect();
    if named.is_empty() { otherwise.to_vec() } else { named }
}

pub(crate) fn arguments() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|argument| !argument.starts_with('-'))
}

/// One plain insert per event, through a pool of 16; once with a statement that each connection prepares once, and once as
/// diesel's `Insertable` makes it by default, which is prepared again for each event. Callers take turns: the pool alone lets
/// some of them wait for seconds, which would make the 99th percentile meaningless.
macro_rules! one_insert_per_event {
    ($Connection:ty, $url:expr, $callers:expr) => {
        [
            $crate::support::one_insert_per_event!($Connection, $url, $callers, true),
            $crate::support::one_insert_per_event!($Connection, $url, $callers, false),
        ]
    };
    ($Connection:ty, $url:expr, $callers:expr, $prepared:expr) => {{
        let manager = diesel_async::pooled_connection::AsyncDieselConnectionManager::<$Connection>::new($url);
        let pool = diesel_async::pooled_connection::bb8::Pool::<$Connection>::builder()
            .max_size(16)
            .min_idle(16)
            .test_on_check_out(false);
        let pool = pool.build(manager).await.unwrap();
        let run = $crate::support::prefix();
        let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(16));
        $crate::support::concurrently($callers, $crate::support::events($callers), move |number| {
            let (pool, run, turns) = (pool.clone(), run.clone(), turns.clone());
            async move {
                let rows = vec![$crate::support::Row::new(&format!("{run}-{number}"))];
                let _turn = turns.acquire().await.unwrap();
                let mut connection = pool.get().await.unwrap();
                let insert = diesel::insert_into($crate::support::jaas_events::table);
                let inserted = if $prepared {
                    diesel_async::RunQueryDsl::execute(insert.values(&rows[0]), &mut *connection).await
                } else {
                    // Diesel does not keep a statement for a list of rows either.
                    diesel_async::RunQueryDsl::execute(insert.values(&rows), &mut *connection).await
                };
                inserted.unwrap();
            }
        })
        .await
    }};
}

pub(crate) use one_insert_per_event;

diesel::table! {
    jaas_events (id) {
        id -> BigInt,
        endpoint -> Text,
        idempotency_key -> Text,
        event_type -> Text,
        session_id -> Text,
        fqn -> Text,
        occurred_at -> BigInt,
        received_at -> BigInt,
        body -> Binary,
        body_hash -> Binary,
        state -> Text,
        completed -> Text,
        due_at -> BigInt,
        ordering_key -> Text,
        place -> BigInt,
    }
}

// Diesel keeps no statement for a row whose columns may take their defaults.
#[derive(diesel::Insertable)]
#[diesel(table_name = jaas_events, treat_none_as_default_value = false)]
pub(crate) struct Row {
    endpoint: &'static str,
    pub(crate) idempotency_key: String,
    event_type: &'static str,
    session_id: String,
    fqn: &'static str,
    occurred_at: i64,
    received_at: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    state: &'static str,
    completed: &'static str,
    due_at: i64,
    ordering_key: String,
    place: i64,
}

impl Row {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            endpoint: "by hand",
            idempotency_key: key.to_owned(),
            event_type: "PARTICIPANT_JOINED",
            session_id: format!("s-{key}"),
            fqn: "vpaas-magic-cookie-1/math",
            occurred_at: 1_795_420_800_000,
            received_at: 1_795_420_800_000,
            body: body(key).into_bytes(),
            body_hash: vec![7; 32],
            state: "done",
            completed: "",
            due_at: 1_795_420_800_000,
            ordering_key: format!("ss-{key}"),
            place: 1_795_420_800_000,
        }
    }
}
