//! Claims of artifacts, and their leases.

use std::collections::HashSet;

use jaas_core::archive::{ArtifactKind, ArtifactState, ArtifactStore};

use super::support::{
    self, HOUR, LEASE, START, added, at, claimed, claimed_one, listed, new, request, uploaded_event,
};
use crate::conformance::Harness;

pub async fn claim_takes_the_earliest_deadline_first<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, deadline) in [("k-1", 3), ("k-2", 1), ("k-3", 4), ("k-4", 2)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline * HOUR)]).await;
    }
    let mut order = Vec::new();
    for claim in [claimed(&store, 0, 2).await, claimed(&store, 0, 10).await].concat() {
        order.push((claim.deadline.as_millis() - START.as_millis()) / HOUR);
    }
    assert_eq!(order[..2].iter().copied().collect::<HashSet<_>>(), HashSet::from([1, 2]));
    assert_eq!(order[2..].iter().copied().collect::<HashSet<_>>(), HashSet::from([3, 4]));
}

pub async fn claim_gives_an_artifact_to_one_caller_only<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let first = claimed_one(&store, 0).await;
    assert!(claimed(&store, 1, 10).await.is_empty());
    assert!(claimed(&store, LEASE.as_millis() as i64 - 1, 10).await.is_empty());
    let second = claimed_one(&store, LEASE.as_millis() as i64).await;
    assert_eq!(second.lease.artifact, first.lease.artifact);
    assert!(second.lease.fence > first.lease.fence);
    let record = listed(&store).await.remove(0);
    assert_eq!((record.state, record.worker.as_deref()), (ArtifactState::Running, Some("conformance")));
}

pub async fn claim_has_what_is_needed_to_fetch<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let event = uploaded_event("k-1", Some("s-1"), 7);
    added(&store, event.clone(), &[new("preAuthenticatedLink", HOUR)]).await;
    let claim = claimed_one(&store, 10).await;
    assert_eq!(claim.body, event.body());
    assert_eq!((&*claim.endpoint, claim.received_at), ("main", at(7)));
    assert_eq!((claim.slot.as_str(), claim.kind), ("preAuthenticatedLink", ArtifactKind::Recording));
    assert_eq!((claim.deadline, claim.failures, claim.kept), (at(HOUR), 0, None));
}

pub async fn claim_waits_until_an_artifact_is_due<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    added(&store, uploaded_event("k-2", None, 0), &[new("preAuthenticatedLink", 2 * HOUR)]).await;
    let claim = claimed(&store, 0, 1).await.remove(0);
    store.postpone_artifact(claim.lease, &support::postponed(5000)).await.expect("postponed");
    let other = claimed_one(&store, 4999).await;
    assert_ne!(other.lease.artifact, claim.lease.artifact, "one that waits does not hold up others");
    assert_eq!(claimed_one(&store, 5000).await.lease.artifact, claim.lease.artifact);
}

pub async fn claim_takes_expired_ones_apart<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, deadline) in [("k-1", 1000), ("k-2", 2000), ("k-3", HOUR), ("k-4", HOUR)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline)]).await;
    }
    let mut only_expired = request(2000, 0);
    only_expired.expired = 1;
    let claims = store.claim_artifacts(&only_expired).await.expect("claimed");
    let deadlines = |claims: &[jaas_core::archive::ArtifactClaim]| {
        claims.iter().map(|claim| claim.deadline.as_millis() - START.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(deadlines(&claims), [1000]);
    let mut one_of_each = request(2000, 1);
    one_of_each.expired = 10;
    let claims = store.claim_artifacts(&one_of_each).await.expect("claimed");
    let mut found = deadlines(&claims);
    found.sort_unstable();
    assert_eq!(found, [2000, HOUR]);
}

pub async fn claims_are_safe_for_many_at_once<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    for number in 0..20 {
        let event = uploaded_event(&format!("k-{number}"), None, 0);
        added(&harness.store(), event, &[new("preAuthenticatedLink", HOUR)]).await;
    }
    let claims = (0..8).map(|_| {
        let store = harness.store();
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            for _ in 0..10 {
                // Two that are in each other's way may both leave something for the next try.
                claimed.extend(store.claim_artifacts(&request(0, 3)).await.expect("claimed"));
            }
            claimed.into_iter().map(|claim| claim.lease.artifact).collect::<Vec<_>>()
        })
    });
    let mut all = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        all.extend(claim.await.expect("no panic"));
    }
    assert_eq!(all.len(), 20);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 20);
}

pub async fn renew_keeps_a_claim_and_names_those_that_were_lost<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let lease_ms = LEASE.as_millis() as i64;
    for key in ["k-1", "k-2"] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    }
    let leases: Vec<_> = claimed(&store, 0, 10).await.iter().map(|claim| claim.lease).collect();
    assert_eq!(store.renew_artifacts(&leases[..1], at(10_000), LEASE).await.expect("renewed"), []);
    // The other one is taken over.
    let taken = claimed_one(&store, lease_ms).await;
    assert_eq!(taken.lease.artifact, leases[1].artifact);
    let lost = store.renew_artifacts(&leases, at(lease_ms + 1), LEASE).await.expect("renewed");
    assert_eq!(lost, leases[1..]);
    assert!(claimed(&store, lease_ms + 2, 10).await.is_empty());
    assert_eq!(store.renew_artifacts(&[], at(0), LEASE).await.expect("nothing to renew"), []);
}

pub async fn release_makes_an_artifact_claimable_at_once_and_counts_nothing<
    H: Harness<Store: ArtifactStore>,
>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let lease = claimed_one(&store, 0).await.lease;
    store.release_artifacts(&[lease], at(1)).await.expect("released");
    let again = claimed_one(&store, 1).await;
    assert_eq!(again.failures, 0);
    // A stale one is passed over.
    store.release_artifacts(&[lease], at(2)).await.expect("passed over");
    assert!(claimed(&store, 2, 10).await.is_empty());
}
