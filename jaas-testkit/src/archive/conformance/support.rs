//! What the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jaas_core::archive::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactKind, ArtifactQuery, ArtifactRecord, ArtifactStore, Kept,
    LostWhy, NewArtifact, Postponed, Settling,
};
use jaas_core::store::{Accepted, ClaimRequest, Step, StoreError, TxWork};
use jaas_core::{Delivery, Handled, HandlerError, HandlerResult, Timestamp};

/// When every test starts.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) const HOUR: i64 = 60 * 60 * 1000;

/// A time this many milliseconds after the start.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

pub(super) fn uploaded_event(key: &str, session: Option<&str>, millis: i64) -> Delivery {
    let body = serde_json::json!({
        "idempotencyKey": key,
        "eventType": "RECORDING_UPLOADED",
        "sessionId": session,
        "timestamp": at(millis).as_millis(),
        "fqn": "vpaas-magic-cookie-1/math",
        "data": {"preAuthenticatedLink": "https://8x8.vc/p/token"},
    });
    Delivery::parse("main", at(millis), body.to_string().into()).expect("a readable envelope")
}

/// An artifact that is at risk 6 h before its deadline.
pub(super) fn new(slot: &str, deadline: i64) -> NewArtifact {
    NewArtifact {
        slot: slot.to_owned(),
        kind: ArtifactKind::Recording,
        deadline: at(deadline),
        risk_at: at(deadline - 6 * HOUR),
    }
}

pub(super) fn kept() -> Kept {
    Kept { object: "app/room/session/recording-k-1.mp4".to_owned(), bytes: 5_000_000_000, sha256: [7; 32] }
}

pub(super) fn postponed(until: i64) -> Postponed {
    Postponed {
        error: "the server is busy".to_owned(),
        until: at(until),
        why: LostWhy::Expired,
        at_risk: None,
    }
}

pub(super) fn request(millis: i64, limit: usize) -> ArtifactClaimRequest {
    let mut request = ArtifactClaimRequest::new("conformance", at(millis), limit);
    request.lease = LEASE;
    request
}

/// Accepts an event, and adds artifacts in the transaction in which it is handled.
pub(super) async fn added<S>(store: &S, event: Delivery, artifacts: &[NewArtifact]) -> usize
where
    S: ArtifactStore + Clone,
{
    assert_eq!(store.accept(event.clone()).await.expect("accepted"), Accepted::New);
    let millis = event.received_at.as_millis() - START.as_millis();
    handled(store, event, artifacts, millis).await
}

/// Handles the one event that waits.
pub(super) async fn handled<S>(store: &S, event: Delivery, artifacts: &[NewArtifact], millis: i64) -> usize
where
    S: ArtifactStore + Clone,
{
    let (result, added) = run(store, event, artifacts, millis, Ok(Handled::Done)).await;
    result.expect("handled");
    added
}

/// Handles the one event that waits, with this result; returns it, and how many artifacts were new.
pub(super) async fn run<S>(
    store: &S,
    event: Delivery,
    artifacts: &[NewArtifact],
    millis: i64,
    result: HandlerResult,
) -> (HandlerResult, usize)
where
    S: ArtifactStore + Clone,
{
    let claim =
        store.claim(&ClaimRequest::new("conformance", at(millis), 1)).await.expect("claimed").remove(0);
    let (adding, artifacts, added) = (store.clone(), artifacts.to_vec(), Arc::new(AtomicUsize::new(0)));
    let count = added.clone();
    let work: TxWork<S::Tx> = Box::new(move |tx| {
        Box::pin(async move {
            let new = adding.add_artifacts(tx, &event, &artifacts).await.map_err(HandlerError::retry)?;
            count.store(new, Ordering::Relaxed);
            result
        })
    });
    let step = Step { handler: "archive".into(), last: true, next: None };
    let (result, _) = store.run(claim.lease, &step, at(millis), work).await.expect("run");
    (result, added.load(Ordering::Relaxed))
}

pub(super) async fn claimed(store: &impl ArtifactStore, millis: i64, limit: usize) -> Vec<ArtifactClaim> {
    store.claim_artifacts(&request(millis, limit)).await.expect("claimed")
}

pub(super) async fn claimed_one(store: &impl ArtifactStore, millis: i64) -> ArtifactClaim {
    let mut claims = claimed(store, millis, 10).await;
    assert_eq!(claims.len(), 1, "one artifact is claimable");
    claims.remove(0)
}

pub(super) async fn try_settle(
    store: &impl ArtifactStore,
    settling: Settling,
    millis: i64,
) -> Result<HandlerResult, StoreError> {
    store.settle_artifact(&settling, at(millis), Box::new(|_| Box::pin(async { Ok(Handled::Done) }))).await
}

pub(super) async fn settled(store: &impl ArtifactStore, settling: Settling, millis: i64) {
    try_settle(store, settling, millis).await.expect("settled").expect("handled");
}

/// Every artifact, in the order of the rows.
pub(super) async fn listed(store: &impl ArtifactStore) -> Vec<ArtifactRecord> {
    store.artifacts(&ArtifactQuery::default()).await.expect("listed").items
}
