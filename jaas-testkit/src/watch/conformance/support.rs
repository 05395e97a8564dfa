//! What the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jaas_core::store::{Accepted, ClaimRequest, Step, StoreError, TxWork};
use jaas_core::watch::{
    Gap, GapChange, GapQuery, GapRecord, GapStore, NewSightings, Rule, Seen, SessionClaim,
    SessionClaimRequest, SessionLease, Sighting,
};
use jaas_core::{Delivery, Fqn, Handled, HandlerError, HandlerResult, SessionId, Timestamp};

/// When every test starts.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

pub(super) const LEASE: i64 = 60_000;
pub(super) const MINUTE: i64 = 60_000;
pub(super) const FQN: &str = "vpaas-magic-cookie-1/Math%20Room";

/// A time this many milliseconds after the start.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

pub(super) fn session(name: &str) -> SessionId {
    SessionId::new(name)
}

pub(super) fn sighting(slot: &str, millis: i64) -> Sighting {
    Sighting::new(Seen::RecordingEnded, slot, at(millis), at(millis))
}

/// What one event shows, which makes its session due 15 minutes later.
pub(super) fn new(name: &str, slots: &[&str], millis: i64) -> NewSightings {
    NewSightings {
        session: session(name),
        fqn: Fqn::new(FQN),
        sightings: slots.iter().map(|slot| sighting(slot, millis)).collect(),
        now: at(millis),
        due_at: at(millis + 15 * MINUTE),
    }
}

fn event(key: &str, name: &str, millis: i64) -> Delivery {
    let body = serde_json::json!({
        "idempotencyKey": key, "eventType": "RECORDING_ENDED", "sessionId": name,
        "timestamp": at(millis).as_millis(), "fqn": FQN, "data": {},
    });
    Delivery::parse("main", at(millis), body.to_string().into()).expect("a readable envelope")
}

/// Runs this in the transaction in which an event of the session is handled.
async fn in_a_handler<S: GapStore + Clone>(
    store: &S,
    name: &str,
    millis: i64,
    work: TxWork<S::Tx>,
) -> HandlerResult {
    static EVENTS: AtomicUsize = AtomicUsize::new(0);
    let key = format!("event-{}", EVENTS.fetch_add(1, Ordering::Relaxed));
    let accepted = store.accept(event(&key, name, millis)).await.expect("accepted");
    assert_eq!(accepted, Accepted::New);
    let request = ClaimRequest::new("conformance", at(millis), 1);
    let claim = store.claim(&request).await.expect("claimed").remove(0);
    let step = Step { handler: "watch".into(), last: true, next: None };
    let (result, _) = store.run(claim.lease, &step, at(millis), work).await.expect("run");
    if result.is_err() {
        store.release(&[claim.lease], at(millis)).await.expect("released");
    }
    result
}

/// Records what an event shows; returns how many sightings are new.
pub(super) async fn recorded<S: GapStore + Clone>(store: &S, new: NewSightings) -> usize {
    let (result, added) = recorded_with(store, new, Ok(Handled::Done)).await;
    result.expect("handled");
    added
}

/// The same in a handler with this result.
pub(super) async fn recorded_with<S: GapStore + Clone>(
    store: &S,
    new: NewSightings,
    result: HandlerResult,
) -> (HandlerResult, usize) {
    let (recording, added) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let (name, millis) = (new.session.to_string(), new.now.as_millis() - START.as_millis());
    let count = added.clone();
    let work: TxWork<S::Tx> = Box::new(move |tx| {
        Box::pin(async move {
            let new = recording.record_sightings(tx, &new).await.map_err(HandlerError::retry)?;
            count.store(new, Ordering::Relaxed);
            result
        })
    });
    let result = in_a_handler(store, &name, millis, work).await;
    (result, added.load(Ordering::Relaxed))
}

pub(super) async fn touched<S: GapStore + Clone>(store: &S, name: &str, millis: i64) -> bool {
    let (touching, touched) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let (of, count) = (session(name), touched.clone());
    let work: TxWork<S::Tx> = Box::new(move |tx| {
        Box::pin(async move {
            let noted = touching.touch_session(tx, &of, at(millis)).await.map_err(HandlerError::retry)?;
            count.store(usize::from(noted), Ordering::Relaxed);
            Ok(Handled::Done)
        })
    });
    in_a_handler(store, name, millis, work).await.expect("handled");
    touched.load(Ordering::Relaxed) > 0
}

pub(super) async fn claimed(store: &impl GapStore, millis: i64, limit: usize) -> Vec<SessionClaim> {
    let request = SessionClaimRequest::new("conformance", at(millis), limit);
    store.claim_sessions(&request).await.expect("claimed")
}

pub(super) async fn claimed_one(store: &impl GapStore, millis: i64) -> SessionClaim {
    let mut claims = claimed(store, millis, 10).await;
    assert_eq!(claims.len(), 1, "one session is due");
    claims.remove(0)
}

pub(super) fn gap(name: &str, rule: Rule, subject: &str) -> Gap {
    Gap::new(rule, session(name), Fqn::new(FQN), subject, at(0), at(15 * MINUTE))
}

pub(super) async fn changed(
    store: &impl GapStore,
    lease: &SessionLease,
    change: &GapChange,
    millis: i64,
) -> Result<HandlerResult, StoreError> {
    store.change_gap(lease, change, at(millis), Box::new(|_| Box::pin(async { Ok(Handled::Done) }))).await
}

/// Finds a gap.
pub(super) async fn found(store: &impl GapStore, lease: &SessionLease, gap: Gap, millis: i64) {
    let change = GapChange::Found(gap);
    changed(store, lease, &change, millis).await.expect("recorded").expect("handled");
}

pub(super) async fn finished(store: &impl GapStore, claim: &SessionClaim, next: Option<i64>, millis: i64) {
    let audits = [(claim.clone(), next.map(at))];
    store.finish_sessions(&audits, at(millis)).await.expect("finished");
}

/// When the next session is due, in ms after this time.
pub(super) async fn next(store: &impl GapStore, millis: i64) -> Option<Duration> {
    store.next_session(at(millis)).await.expect("looked up")
}

/// Every gap, in the order of the rows.
pub(super) async fn listed(store: &impl GapStore) -> Vec<GapRecord> {
    store.gaps(&GapQuery::default()).await.expect("listed").items
}
