//! Tests for implementations of [`ArtifactStore`]: one for every bullet of the `# Behavior` sections of the trait.
//!
//! Mount them beside those of the store, with the same harness:
//!
//! ```
//! use jaas_core::store::MemoryStore;
//! use jaas_testkit::conformance::Harness;
//! use std::sync::Arc;
//!
//! struct Memory(Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl Harness for Memory {
//!     type Store = Arc<MemoryStore>;
//!
//!     async fn start() -> Self {
//!         Self(Arc::new(MemoryStore::new()))
//!     }
//!
//!     fn store(&self) -> Self::Store {
//!         self.0.clone()
//!     }
//! }
//!
//! // Leave `volatile` out for a store that has transactions, and implement `DurableHarness` too.
//! jaas_testkit::artifact_store_conformance!(Memory, volatile);
//! # fn main() {}
//! ```
// What is mounted is a test, and its name says what it tests.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc, clippy::panic)]

mod settling;
mod support;

use std::collections::HashSet;

use jaas_core::archive::{
    ArtifactKind, ArtifactQuery, ArtifactState, ArtifactStore, LostWhy, Postponed, Settling,
};
use jaas_core::signature::Tolerance;
use jaas_core::store::{AuditNote, EventAdmin, EventState, Keep, PageRequest, Retention, StoreErrorKind};

pub use self::settling::*;
use self::support::{
    HOUR, LEASE, START, added, at, claimed, claimed_one, kept, listed, new, request, told, uploaded_event,
};
use crate::conformance::Harness;

/// Mounts the tests of an [`ArtifactStore`], in a module `artifacts`. With `volatile`, those of transactions are left out.
#[macro_export]
macro_rules! artifact_store_conformance {
    ($Harness:ty) => {
        mod artifacts {
            #[allow(unused_imports)]
            use super::*;

            $crate::artifact_store_conformance! { @shared $Harness }
            $crate::artifact_store_conformance! { @tests $Harness:
                add_is_part_of_the_transaction
                settle_commits_effects_and_state_together
            }
        }
    };
    ($Harness:ty, volatile) => {
        mod artifacts {
            #[allow(unused_imports)]
            use super::*;

            $crate::artifact_store_conformance! { @shared $Harness }
        }
    };
    (@shared $Harness:ty) => {
        $crate::artifact_store_conformance! { @tests $Harness:
            add_writes_one_row_per_event_and_slot
            claim_takes_the_earliest_deadline_first
            claim_gives_an_artifact_to_one_caller_only
            claim_has_what_is_needed_to_fetch
            claim_waits_until_an_artifact_is_due
            claim_takes_expired_ones_apart
            claims_are_safe_for_many_at_once
            renew_keeps_a_claim_and_names_those_that_were_lost
            keep_is_remembered_by_the_next_claim
            keep_refuses_a_stale_lease
            settle_rolls_back_when_the_work_fails
            settle_refuses_a_stale_lease
            settle_tells_at_risk_once
            postpone_waits_until_the_given_time_and_counts
            postpone_may_put_an_artifact_at_risk_at_once
            release_makes_an_artifact_claimable_at_once_and_counts_nothing
            at_risk_lists_what_was_not_told
            next_artifact_names_the_earliest_thing_to_do
            artifacts_are_listed_in_pages_and_filtered
            stats_count_what_waits
            purge_leaves_an_event_whose_artifact_waits
            erase_session_ends_the_artifacts_that_wait
        }
    };
    (@tests $Harness:ty: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                if <$Harness as $crate::conformance::Harness>::skipped().is_none() {
                    $crate::conformance::block_on(|| $crate::archive::conformance::$name::<$Harness>());
                }
            }
        )*
    };
}

pub async fn add_writes_one_row_per_event_and_slot<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let event = uploaded_event("k-1", Some("s-1"), 0);
    let both = [new("preAuthenticatedLink", 24 * HOUR), new("preAuthenticatedLinkV2", 24 * HOUR)];
    assert_eq!(added(&store, event.clone(), &both).await, 2);
    assert_eq!(listed(&store).await.len(), 2);
    // The event is handled again.
    let id = listed(&store).await[0].event;
    store.replay(id, &AuditNote::new("operator", "again"), at(1)).await.expect("replayed");
    let three = [both[0].clone(), both[1].clone(), new("statsUrl", HOUR)];
    assert_eq!(support::handled(&store, event, &three, 1).await, 1);
    let slots: Vec<_> = listed(&store).await.into_iter().map(|record| record.slot).collect();
    assert_eq!(slots, ["preAuthenticatedLink", "preAuthenticatedLinkV2", "statsUrl"]);
}

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

pub async fn keep_is_remembered_by_the_next_claim<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let lease = claimed_one(&store, 0).await.lease;
    store.keep_artifact(lease, &kept()).await.expect("kept");
    // This archiver crashes, and meanwhile the link dies.
    let again = claimed_one(&store, 2 * HOUR).await;
    assert_eq!(again.kept, Some(kept()));
    assert_eq!(listed(&store).await[0].kept, Some(kept()));
}

pub async fn keep_refuses_a_stale_lease<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let stale = claimed_one(&store, 0).await.lease;
    let live = claimed_one(&store, LEASE.as_millis() as i64).await.lease;
    let error = store.keep_artifact(stale, &kept()).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(listed(&store).await[0].kept, None);
    store.keep_artifact(live, &kept()).await.expect("kept");
}

pub async fn postpone_waits_until_the_given_time_and_counts<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", HOUR)]).await;
    let lease = claimed_one(&store, 0).await.lease;
    store.postpone_artifact(lease, &support::postponed(5000)).await.expect("postponed");
    let record = listed(&store).await.remove(0);
    assert_eq!((record.state, record.failures, record.due_at), (ArtifactState::Waiting, 1, at(5000)));
    assert_eq!((record.error.as_deref(), record.why), (Some("the server is busy"), Some(LostWhy::Expired)));
    assert!(claimed(&store, 4999, 10).await.is_empty());
    let again = claimed_one(&store, 5000).await;
    assert_eq!((again.failures, again.why), (1, Some(LostWhy::Expired)));
    let error = store.postpone_artifact(lease, &support::postponed(9000)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
}

pub async fn postpone_may_put_an_artifact_at_risk_at_once<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", 24 * HOUR)]).await;
    assert!(store.artifacts_at_risk(at(0), 10).await.expect("listed").is_empty());
    let lease = claimed_one(&store, 0).await.lease;
    let not_allowed = Postponed { why: LostWhy::Refused, at_risk: Some(at(0)), ..support::postponed(5000) };
    store.postpone_artifact(lease, &not_allowed).await.expect("postponed");
    let risks = store.artifacts_at_risk(at(0), 10).await.expect("listed");
    assert_eq!(risks.iter().map(|risk| risk.lease.artifact).collect::<Vec<_>>(), [lease.artifact]);
    told(&store, Settling::AtRisk(lease.artifact), 1).await;
    // What was told is not told again.
    let lease = claimed_one(&store, 5000).await.lease;
    store.postpone_artifact(lease, &not_allowed).await.expect("postponed");
    assert!(store.artifacts_at_risk(at(HOUR * 23), 10).await.expect("listed").is_empty());
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

pub async fn at_risk_lists_what_was_not_told<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, deadline) in [("k-1", 24), ("k-2", 20), ("k-3", 30), ("k-4", 19)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline * HOUR)]).await;
    }
    let claims = claimed(&store, 0, 10).await;
    let by_deadline =
        |hours: i64| claims.iter().find(|claim| claim.deadline == at(hours * HOUR)).expect("claimed").lease;
    store.keep_artifact(by_deadline(19), &kept()).await.expect("kept");
    // They are at risk 6 h before.
    let at_risk = async |hours: i64, limit| {
        let risks = store.artifacts_at_risk(at(hours * HOUR), limit).await.expect("listed");
        risks.iter().map(|risk| risk.lease.artifact).collect::<Vec<_>>()
    };
    assert!(at_risk(13, 10).await.is_empty());
    let both = [by_deadline(20).artifact, by_deadline(24).artifact];
    assert_eq!(at_risk(18, 10).await, both);
    assert_eq!(at_risk(18, 1).await, both[..1]);
    let risk = store.artifacts_at_risk(at(18 * HOUR), 1).await.expect("listed").remove(0);
    assert_eq!(risk.body, uploaded_event("k-2", None, 0).body());
    told(&store, Settling::AtRisk(both[0]), 18 * HOUR).await;
    assert_eq!(at_risk(18, 10).await, both[1..]);
}

pub async fn next_artifact_names_the_earliest_thing_to_do<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let next = async |millis| {
        let next = store.next_artifact(at(millis)).await.expect("found");
        next.map(|wait| wait.as_millis() as i64)
    };
    assert_eq!(next(0).await, None);
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", 24 * HOUR)]).await;
    assert_eq!(next(0).await, Some(0));
    let lease = claimed_one(&store, 0).await.lease;
    assert_eq!(next(10).await, Some(LEASE.as_millis() as i64 - 10), "the end of the lease");
    store.postpone_artifact(lease, &support::postponed(20 * HOUR)).await.expect("postponed");
    assert_eq!(next(0).await, Some(18 * HOUR), "the risk, 6 h before the deadline");
    told(&store, Settling::AtRisk(lease.artifact), 18 * HOUR).await;
    assert_eq!(next(18 * HOUR).await, Some(2 * HOUR));
    let lease = claimed_one(&store, 20 * HOUR).await.lease;
    store.keep_artifact(lease, &kept()).await.expect("kept");
    told(&store, Settling::Stored(lease), 20 * HOUR).await;
    assert_eq!(next(20 * HOUR).await, None);
}

pub async fn artifacts_are_listed_in_pages_and_filtered<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for number in 0..5 {
        let session = if number < 3 { "s-1" } else { "S-1" };
        let event = uploaded_event(&format!("k-{number}"), Some(session), 0);
        added(&store, event, &[new("preAuthenticatedLink", (number + 1) * HOUR)]).await;
    }
    let all = listed(&store).await;
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    let mut page =
        ArtifactQuery { page: PageRequest { limit: 2, ..PageRequest::newest() }, ..ArtifactQuery::default() };
    let mut found = Vec::new();
    loop {
        let part = store.artifacts(&page).await.expect("listed");
        found.extend(part.items);
        let Some(next) = part.next else { break };
        page.page.after = Some(next);
    }
    found.reverse();
    assert_eq!(found, all);
    let count = async |query: ArtifactQuery| store.artifacts(&query).await.expect("listed").items.len();
    let none = ArtifactQuery::default();
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    assert_eq!(count(ArtifactQuery { session_id: Some("s-1".into()), ..none.clone() }).await, 3);
    assert_eq!(count(ArtifactQuery { event: Some(all[4].event), ..none.clone() }).await, 1);
    assert_eq!(count(ArtifactQuery { state: Some(ArtifactState::Running), ..none.clone() }).await, 1);
    assert_eq!(count(ArtifactQuery { state: Some(ArtifactState::Waiting), ..none.clone() }).await, 4);
    let gone = Settling::Lost { lease, why: LostWhy::Gone, error: Some("404".to_owned()) };
    told(&store, gone, 5).await;
    let lost = ArtifactQuery { state: Some(ArtifactState::Lost), ..none };
    let record = store.artifacts(&lost).await.expect("listed").items.remove(0);
    assert_eq!((record.why, record.error.as_deref()), (Some(LostWhy::Gone), Some("404")));
    assert_eq!(record.settled_at, Some(at(5)));
}

pub async fn stats_count_what_waits<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let stats = async || {
        let stats = store.artifact_stats().await.expect("counted");
        (stats.open, stats.oldest_deadline)
    };
    assert_eq!(stats().await, (0, None));
    for (key, deadline) in [("k-1", 3), ("k-2", 1), ("k-3", 2)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline * HOUR)]).await;
    }
    assert_eq!(stats().await, (3, Some(at(HOUR))));
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    assert_eq!(stats().await, (3, Some(at(HOUR))), "one that is being fetched counts");
    told(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    assert_eq!(stats().await, (2, Some(at(2 * HOUR))));
}

pub async fn purge_leaves_an_event_whose_artifact_waits<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["k-1", "k-2"] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", 240 * HOUR)]).await;
    }
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    told(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    let retention = Retention::builder(Tolerance::default()).events(EventState::Done, Keep::days(2)).build();
    let retention = retention.expect("long enough");
    let purge =
        async |days: i64| store.purge(&retention, at(days * 24 * HOUR), 100).await.expect("purged").events;
    assert_eq!(purge(5).await, 1, "the one whose artifact is settled");
    let left = listed(&store).await;
    assert_eq!(left.iter().map(|record| record.state).collect::<Vec<_>>(), [ArtifactState::Waiting]);
    let lease = claimed_one(&store, 5 * 24 * HOUR).await.lease;
    assert_eq!(purge(5).await, 0, "while it is being fetched");
    told(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    assert_eq!(purge(5).await, 1);
    assert!(listed(&store).await.is_empty());
}

pub async fn erase_session_ends_the_artifacts_that_wait<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, session, deadline) in
        [("k-1", "s-1", 1), ("k-2", "s-1", 2), ("k-3", "s-1", 3), ("k-4", "s-2", 4)]
    {
        added(&store, uploaded_event(key, Some(session), 0), &[new("preAuthenticatedLink", deadline * HOUR)])
            .await;
    }
    let stored = claimed(&store, 0, 1).await.remove(0).lease;
    store.keep_artifact(stored, &kept()).await.expect("kept");
    told(&store, Settling::Stored(stored), 1).await;
    let running = claimed(&store, 0, 1).await.remove(0).lease;
    let note = AuditNote::new("operator", "asked to");
    assert_eq!(store.erase_session(&"s-1".into(), &note, at(5)).await.expect("erased"), 3);
    let states: Vec<_> = listed(&store).await.iter().map(|record| record.state).collect();
    let (ended, waiting) = (ArtifactState::Ended, ArtifactState::Waiting);
    assert_eq!(states, [ArtifactState::Stored, ended, ended, waiting]);
    for error in [
        store.keep_artifact(running, &kept()).await.expect_err("erased"),
        support::settled(&store, Settling::Stored(running), 6).await.expect_err("erased"),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Erased);
    }
    assert_eq!(store.renew_artifacts(&[running], at(6), LEASE).await.expect("renewed"), [running]);
    assert!(
        store
            .artifacts_at_risk(at(HOUR), 10)
            .await
            .expect("listed")
            .iter()
            .all(|risk| risk.deadline == at(4 * HOUR))
    );
    assert_eq!(claimed(&store, HOUR, 10).await.len(), 1, "only the one of the other session");
}
