//! Each store does what the reference store does. The tests make random sequences of calls to both, and compare their results
//! and their contents after each call.

use std::collections::HashMap;
use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use jaas_core::store::{
    AttemptQuery, AuditNote, Claim, ClaimRequest, Completion, EventAdmin, EventQuery, EventState,
    EventStore as _, Failure, Lease, MemoryStore, NextClaim, RowId, SessionOrder, Step, StoreError,
    StoreErrorKind,
};
use jaas_core::{Delivery, Handled, Timestamp};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::server;

/// One call.
#[derive(Debug, Clone)]
enum Call {
    Accept { key: u8, session: u8, happened: i64 },
    Claim { one: bool, lease: u64 },
    Complete { which: usize, last: bool, next: bool, ignored: bool },
    CompleteAhead { which: usize, held: bool, next: bool },
    Fail { which: usize, passable: bool, next: bool, retry_in: Option<u64> },
    Release { which: usize },
    GiveBack { which: usize },
    Renew { which: usize },
    Advance { ms: i64 },
    Replay { key: u8 },
    Discard { key: u8 },
}

/// Calls, and the settings that all of them share.
#[derive(Debug, Clone)]
struct Case {
    /// With one session, events may crash and come back. With several, an event that crashes becomes a dead letter, because the
    /// contract does not say which of several crashed events comes first.
    sessions: u8,
    settle_window: u64,
    calls: Vec<Call>,
}

const KEYS: u8 = 8;

fn case() -> impl Strategy<Value = Case> {
    let which = || 0..64_usize;
    let call = prop_oneof![
        6 => (0..KEYS, 0..8_u8, 0..20_i64)
            .prop_map(|(key, session, happened)| Call::Accept { key, session, happened }),
        4 => (any::<bool>(), prop_oneof![Just(10_u64), Just(1000)])
            .prop_map(|(one, lease)| Call::Claim { one, lease }),
        5 => (which(), prop::bool::weighted(0.8), any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(which, last, next, ignored)| Call::Complete { which, last, next, ignored }),
        4 => (which(), prop::bool::weighted(0.8), prop::bool::weighted(0.8))
            .prop_map(|(which, held, next)| Call::CompleteAhead { which, held, next }),
        5 => (which(), any::<bool>(), any::<bool>(), prop::option::weighted(0.8, 0..60_u64))
            .prop_map(|(which, passable, next, retry_in)| Call::Fail { which, passable, next, retry_in }),
        1 => which().prop_map(|which| Call::Release { which }),
        1 => which().prop_map(|which| Call::GiveBack { which }),
        1 => which().prop_map(|which| Call::Renew { which }),
        3 => (0..60_i64).prop_map(|ms| Call::Advance { ms }),
        1 => (0..KEYS).prop_map(|key| Call::Replay { key }),
        1 => (0..KEYS).prop_map(|key| Call::Discard { key }),
    ];
    (prop_oneof![Just(1_u8), Just(3)], prop_oneof![Just(0_u64), Just(30)], prop::collection::vec(call, 1..60))
        .prop_map(|(sessions, settle_window, calls)| Case { sessions, settle_window, calls })
}

/// A store, and the leases that it has given. Those of one call are in the order of their events' keys.
struct Side<'s, S> {
    store: &'s S,
    leases: Vec<Lease>,
    /// The following leases that were listed with each lease.
    following: HashMap<Lease, Vec<Lease>>,
}

impl<S: EventAdmin> Side<'_, S> {
    async fn row(&self, key: u8) -> RowId {
        let query = EventQuery { idempotency_key: Some(format!("k{key}").into()), ..EventQuery::default() };
        let events = self.store.events(&query).await.expect("listed");
        events.items.first().map_or(RowId::new(1_000_000), |event| event.id)
    }

    async fn key(&self, event: RowId) -> String {
        self.store.event(event).await.expect("looked up").expect("stored").idempotency_key.to_string()
    }

    /// Describes claims without the ids of their rows, and remembers their leases.
    async fn claimed(&mut self, claims: Vec<Claim>) -> String {
        let mut said = Vec::new();
        for claim in claims {
            let key = self.key(claim.lease.event).await;
            let counts = (claim.failures, claim.crashes, claim.interruptions);
            let mut following = Vec::new();
            for claim in &claim.following {
                following.push((self.key(claim.lease.event).await, claim.lease.fence));
            }
            let listed = claim.following.iter().map(|claim| claim.lease).collect();
            self.following.insert(claim.lease, listed);
            said.push((
                (
                    key,
                    following,
                    claim.lease.fence,
                    counts,
                    claim.completed,
                    String::from_utf8_lossy(&claim.body).into_owned(),
                ),
                claim.lease,
            ));
        }
        said.sort();
        self.leases.extend(said.iter().map(|(_, lease)| *lease));
        format!("{:?}", said.into_iter().map(|(said, _)| said).collect::<Vec<_>>())
    }

    async fn next(&mut self, next: Result<Option<Claim>, StoreError>) -> String {
        match next {
            Ok(claim) => self.claimed(claim.into_iter().collect()).await,
            Err(error) => refused(&error),
        }
    }

    /// Makes a call; describes its result.
    async fn call(&mut self, call: &Call, case: &Case, now: Timestamp) -> String {
        let order = SessionOrder {
            settle_window: Duration::from_millis(case.settle_window),
            ..SessionOrder::default()
        };
        let next = |wanted: bool| {
            wanted.then_some(NextClaim { lease: Duration::from_millis(500), order, following: 2 })
        };
        // A lease whose event was settled before is stale.
        let lease =
            |which: usize| self.leases.iter().rev().nth(which % self.leases.len().clamp(1, 6)).copied();
        let note = AuditNote::new("operator", "reason");
        match *call {
            Call::Accept { key, session, happened } => {
                let session = if case.sessions == 1 { 1 } else { session % (case.sessions + 1) };
                let delivery = delivery(key, session, happened, now);
                done(self.store.accept(delivery).await)
            }
            Call::Claim { one, lease } => {
                let limit = if one && case.sessions == 1 { 1 } else { 100 };
                let mut request = ClaimRequest::new("worker", now, limit);
                request.lease = Duration::from_millis(lease);
                request.order = order;
                request.max_crashes = if case.sessions == 1 { 3 } else { 1 };
                let claims = self.store.claim(&request).await.expect("claimed");
                self.claimed(claims).await
            }
            Call::Complete { which, last, next: wanted, ignored } => {
                let Some(lease) = lease(which) else { return String::new() };
                let handled = if ignored { Handled::Ignored("nothing".into()) } else { Handled::Done };
                let step = Step { handler: "handler".into(), last, next: next(wanted) };
                let next = self.store.complete(lease, &step, &handled, now).await;
                self.next(next).await
            }
            Call::CompleteAhead { which, held, next: wanted } => {
                let Some(lease) = lease(which) else { return String::new() };
                let following = self.following.get(&lease).cloned().unwrap_or_default();
                let ahead = if held { vec![lease] } else { Vec::new() }.into_iter().chain(following);
                let handled = vec![("handler".into(), Handled::Done)];
                let completions: Vec<Completion> =
                    ahead.map(|lease| Completion { lease, handled: handled.clone() }).collect();
                let next = self.store.complete_all(lease, &completions, next(wanted), now).await;
                self.next(next).await
            }
            Call::Fail { which, passable, next: wanted, retry_in } => {
                let Some(lease) = lease(which) else { return String::new() };
                let retry_in = retry_in.map(Duration::from_millis);
                let failure = Failure { error: "failed".into(), retry_in, passable, next: next(wanted) };
                let next = self.store.fail(lease, &failure, now).await;
                self.next(next).await
            }
            Call::Release { which } => {
                let lease: Vec<Lease> = lease(which).into_iter().collect();
                done(self.store.release(&lease, now).await)
            }
            Call::GiveBack { which } => {
                let lease: Vec<Lease> = lease(which).into_iter().collect();
                done(self.store.give_back(&lease, now).await)
            }
            Call::Renew { which } => {
                let lease: Vec<Lease> = lease(which).into_iter().collect();
                done(self.store.renew(&lease, now, Duration::from_millis(100)).await.map(|lost| lost.len()))
            }
            Call::Advance { .. } => String::new(),
            Call::Replay { key } => done(self.store.replay(self.row(key).await, &note, now).await),
            Call::Discard { key } => done(self.store.discard(self.row(key).await, &note, now).await),
        }
    }

    /// Describes what the store holds, without the ids of the rows.
    async fn holds(&self) -> String {
        let mut held: Vec<String> = Vec::new();
        for event in self.store.events(&EventQuery::default()).await.expect("listed").items {
            let counts = (event.failures, event.crashes, event.interruptions);
            let times = (event.occurred_at, event.received_at, event.due_at, event.settled_at);
            let key = event.idempotency_key.to_string();
            held.push(format!(
                "{key} {:?} {counts:?} {times:?} {:?} {:?}",
                event.state, event.completed, event.note
            ));
        }
        for attempt in self.store.attempts(&AttemptQuery::default()).await.expect("listed").items {
            let key = self.key(attempt.event).await;
            let (fence, ended_at) = (attempt.fence, attempt.ended_at);
            held.push(format!("{key} {:?} {fence} {:?} {ended_at:?}", attempt.outcome, attempt.error));
        }
        held.sort();
        let stats = self.store.stats().await.expect("counted");
        for state in EventState::ALL {
            held.push(format!("{state:?}: {}", stats.count(state)));
        }
        format!("{} conflicts: {}", held.join("\n"), stats.conflicts)
    }
}

fn done<T: Debug>(result: Result<T, StoreError>) -> String {
    result.map_or_else(|error| refused(&error), |returned| format!("{returned:?}"))
}

fn refused(error: &StoreError) -> String {
    let kind = error.kind();
    assert!(kind != StoreErrorKind::Unavailable && kind != StoreErrorKind::Corrupt, "{error}");
    format!("{kind:?}")
}

/// An event of this session, or without a session for 0.
fn delivery(key: u8, session: u8, happened: i64, now: Timestamp) -> Delivery {
    let session = if session == 0 { "null".into() } else { format!("\"s{session}\"") };
    let body = format!(
        r#"{{"idempotencyKey":"k{key}","eventType":"PARTICIPANT_JOINED","sessionId":{session},"timestamp":{happened},"data":{{}}}}"#
    );
    Delivery::parse("main", now, body.into()).expect("an envelope")
}

/// Makes the calls of a case to both stores.
async fn compare<S: EventAdmin>(store: &S, case: &Case) -> Result<(), TestCaseError> {
    let reference = MemoryStore::new();
    let mut reference = Side { store: &reference, leases: Vec::new(), following: HashMap::new() };
    let mut other = Side { store, leases: Vec::new(), following: HashMap::new() };
    let mut now = Timestamp::from_millis(1000);
    for (number, call) in case.calls.iter().enumerate() {
        now = now.saturating_add(Duration::from_millis(1));
        if let Call::Advance { ms } = call {
            now = now.saturating_add(Duration::from_millis(ms.unsigned_abs()));
        }
        let wanted = reference.call(call, case, now).await;
        let returned = other.call(call, case, now).await;
        prop_assert_eq!(returned, wanted, "call {}: {:?} at {:?}", number, call, now);
        let (holds, wanted) = (other.holds().await, reference.holds().await);
        prop_assert!(holds == wanted, "after call {number}: {call:?} at {now:?}\n{holds}\n--\n{wanted}");
        // A store knows the settle window only from the last claim.
        if case.settle_window == 0 || matches!(call, Call::Claim { .. }) {
            let due = other.store.next_due(now).await.expect("returned");
            let wanted = reference.store.next_due(now).await.expect("returned");
            prop_assert_eq!(due, wanted, "after call {}: {:?} at {:?}", number, call, now);
        }
    }
    Ok(())
}

/// Cases that have found differences before.
fn found_before() -> Vec<Case> {
    use Call::{Accept, Advance, Claim, Complete, CompleteAhead, Discard, Fail};
    let accept = |key, happened| Accept { key, session: 1, happened };
    let claim = || Claim { one: true, lease: 1000 };
    let fail = |passable, retry_in| Fail { which: 0, passable, next: false, retry_in: Some(retry_in) };
    let alone = |key| Accept { key, session: 0, happened: 0 };
    let ahead = |which, held| CompleteAhead { which, held, next: held };
    let part = || Complete { which: 0, last: false, next: false, ignored: false };
    let cases = [
        // An event that others could pass holds them back again.
        vec![accept(0, 5), claim(), fail(true, 0), claim(), fail(false, 20), Advance { ms: 30 }, claim()],
        // The head of a session in a back-off is discarded.
        vec![accept(0, 1), accept(1, 2), claim(), fail(false, 1000), Discard { key: 0 }, claim()],
        // An event arrives behind one that waits for its next attempt.
        vec![accept(0, 0), Claim { one: false, lease: 10 }, fail(false, 2), accept(1, 0)],
        // A handler is completed twice.
        vec![accept(0, 1), claim(), part(), part()],
        // An event that was run ahead is settled twice under one lease, as a worker does that has lost the first reply.
        vec![
            alone(2),
            alone(1),
            Claim { one: false, lease: 10 },
            alone(0),
            ahead(0, true),
            ahead(8, false),
            ahead(20, false),
        ],
    ];
    cases.map(|calls| Case { sessions: 1, settle_window: 0, calls }).into()
}

/// Runs so many cases, or as many as `PROPTEST_CASES` says, each with its own store, on two threads.
fn run<F, R>(cases: u32, one: F)
where
    F: Fn(Case) -> R + Sync,
    R: Future<Output = Result<(), TestCaseError>>,
{
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let default = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    let config =
        Config { cases: cases.div_ceil(2), failure_persistence: None, max_shrink_iters: 120, ..default };
    let random = || {
        let result = TestRunner::new(config.clone()).run(&case(), |case| runtime.block_on(one(case)));
        if let Err(error) = result {
            panic!("{error}");
        }
    };
    thread::scope(|scope| {
        scope.spawn(random);
        random();
    });
    for case in found_before() {
        if let Err(error) = runtime.block_on(one(case.clone())) {
            panic!("{error}: {case:?}");
        }
    }
}

#[test]
fn sqlite_does_what_the_reference_does() {
    run(64, |case| async move {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::builder(folder.path().join("jaas.sqlite")).open().await.expect("opened");
        let compared = compare(&store, &case).await;
        store.close().await;
        compared
    });
}

macro_rules! on_a_server {
    ($name:ident, $Server:ident, $Store:ident) => {
        #[test]
        fn $name() {
            if server::url(server::$Server::VARIABLE).is_err() {
                return;
            }
            run(16, |case| async move {
                let database = server::$Server::create().await.expect("a database");
                let store = $Store::builder(database.url()).callers_time(true).open().await.expect("opened");
                let compared = compare(&store, &case).await;
                store.close().await;
                compared
            });
        }
    };
}

on_a_server!(postgresql_does_what_the_reference_does, Postgres, PostgresStore);
on_a_server!(mysql_does_what_the_reference_does, Mysql, MysqlStore);
