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

mod claiming;
mod looking;
mod settling;
mod support;

use jaas_core::archive::{ArtifactState, ArtifactStore, LostWhy, Postponed, Settling};
use jaas_core::store::{AuditNote, EventAdmin, StoreErrorKind};

pub use self::claiming::*;
pub use self::looking::*;
pub use self::settling::*;
use self::support::{
    HOUR, LEASE, added, at, claimed, claimed_one, kept, listed, new, settled, uploaded_event,
};
use crate::conformance::Harness;

/// Mounts the tests of an [`ArtifactStore`], in a module `artifacts`. With `volatile`, those of transactions are left
/// out.
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
            settle_reports_at_risk_once
            postpone_waits_until_the_given_time_and_counts
            postpone_may_put_an_artifact_at_risk_at_once
            release_makes_an_artifact_claimable_at_once_and_counts_nothing
            at_risk_lists_what_was_not_reported
            next_artifact_names_the_earliest_thing_to_do
            artifacts_are_listed_in_pages_and_filtered
            open_artifacts_are_listed_by_deadline_in_pages
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
    settled(&store, Settling::AtRisk(lease.artifact), 1).await;
    // What was reported is not reported again.
    let lease = claimed_one(&store, 5000).await.lease;
    store.postpone_artifact(lease, &not_allowed).await.expect("postponed");
    assert!(store.artifacts_at_risk(at(HOUR * 23), 10).await.expect("listed").is_empty());
}
