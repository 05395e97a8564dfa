//! What becomes of an artifact, together with what the application writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaas_core::archive::{ArtifactState, ArtifactStore, LostWhy, Settling};
use jaas_core::store::{EventStore as _, StoreErrorKind};
use jaas_core::{Handled, HandlerError};

use super::support::{self, HOUR, LEASE, added, at, claimed_one, kept, listed, new, settled, uploaded_event};
use crate::conformance::{DurableHarness, Harness};

pub async fn add_is_part_of_the_transaction<H: DurableHarness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let event = uploaded_event("k-1", None, 0);
    store.accept(event.clone()).await.expect("accepted");
    let failed = Err(HandlerError::retry("not today"));
    let (result, new) = support::run(&store, event, &[new("preAuthenticatedLink", HOUR)], 0, failed).await;
    assert_eq!((result.is_err(), new), (true, 1));
    assert!(listed(&store).await.is_empty());
}

pub async fn settle_commits_effects_and_state_together<H: DurableHarness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let lease = claimed_one(&store, 0).await.lease;
    store.keep_artifact(lease, &kept()).await.expect("kept");
    let settling = Settling::Stored(lease);
    let work = |failed: bool| -> jaas_core::store::TxWork<_> {
        Box::new(move |tx| {
            Box::pin(async move {
                H::write(tx, if failed { "not committed" } else { "stored" }).await?;
                if failed { Err(HandlerError::retry("not today")) } else { Ok(Handled::Done) }
            })
        })
    };
    store.settle_artifact(&settling, at(1), work(true)).await.expect("run").expect_err("failed");
    assert!(harness.written().await.is_empty());
    assert_eq!(listed(&store).await[0].state, ArtifactState::Running);
    store.settle_artifact(&settling, at(1), work(false)).await.expect("run").expect("handled");
    assert_eq!(harness.written().await, ["stored"]);
    assert_eq!(
        harness.reopened().await.artifacts(&Default::default()).await.expect("listed").items[0].state,
        ArtifactState::Stored
    );
    // A second time it is refused, and writes nothing.
    let error = store.settle_artifact(&settling, at(1), work(false)).await.expect_err("settled");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(harness.written().await, ["stored"]);
}

pub async fn settle_rolls_back_when_the_work_fails<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let lease = claimed_one(&store, 0).await.lease;
    let failing = async |settling: Settling| {
        let work: jaas_core::store::TxWork<_> =
            Box::new(|_| Box::pin(async { Err(HandlerError::retry("not today")) }));
        let result = store.settle_artifact(&settling, at(1), work).await.expect("run");
        assert!(result.expect_err("failed").to_string().contains("not today"));
    };
    failing(Settling::AtRisk(lease.artifact)).await;
    assert_eq!(store.artifacts_at_risk(at(1), 10).await.expect("listed").len(), 1, "it is reported again");
    failing(Settling::Lost { lease, why: LostWhy::Gone, error: None }).await;
    let record = listed(&store).await.remove(0);
    assert_eq!((record.state, record.settled_at), (ArtifactState::Running, None));
    settled(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 2).await;
}

pub async fn settle_refuses_a_stale_lease<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let stale = claimed_one(&store, 0).await.lease;
    let live = claimed_one(&store, LEASE.as_millis() as i64).await.lease;
    let runs = Arc::new(AtomicUsize::new(0));
    for settling in
        [Settling::Stored(stale), Settling::Lost { lease: stale, why: LostWhy::Expired, error: None }]
    {
        let count = runs.clone();
        let work: jaas_core::store::TxWork<_> = Box::new(move |_| {
            Box::pin(async move {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(Handled::Done)
            })
        });
        let error = store.settle_artifact(&settling, at(1), work).await.expect_err("stale");
        assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    settled(&store, Settling::Lost { lease: live, why: LostWhy::Expired, error: None }, 2).await;
    assert_eq!(listed(&store).await[0].state, ArtifactState::Lost);
}

pub async fn settle_reports_at_risk_once<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["k-1", "k-2"] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    }
    let risks = store.artifacts_at_risk(at(0), 10).await.expect("listed");
    let [first, second] = [risks[0].lease.artifact, risks[1].lease.artifact];
    settled(&store, Settling::AtRisk(first), 0).await;
    let error = support::try_settle(&store, Settling::AtRisk(first), 1).await.expect_err("reported");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    let lease =
        support::claimed(&store, 1, 10).await.into_iter().find(|claim| claim.lease.artifact == second);
    let lease = lease.expect("claimed").lease;
    settled(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 2).await;
    let error = support::try_settle(&store, Settling::AtRisk(second), 3).await.expect_err("settled");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert!(store.artifacts_at_risk(at(3), 10).await.expect("listed").is_empty());
}
