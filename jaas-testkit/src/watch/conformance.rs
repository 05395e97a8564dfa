//! Tests for implementations of [`GapStore`]: one for every bullet of the `# Behavior` sections of the trait.
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
//! jaas_testkit::gap_store_conformance!(Memory, volatile);
//! # fn main() {}
//! ```
// What is mounted is a test, and its name says what it tests.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc, clippy::panic)]

mod changing;
mod endpoints;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use jaas_core::signature::Tolerance;
use jaas_core::store::{AuditNote, EventAdmin, EventState, Keep, Retention, StoreErrorKind};
use jaas_core::watch::{GapChange, GapStore, Rule};

pub use self::changing::*;
pub use self::endpoints::*;
use self::support::{
    LEASE, MINUTE, at, changed, claimed, claimed_one, finished, found, gap, listed, new, next, recorded,
    session, touched,
};
use crate::conformance::Harness;

/// Mounts the tests of a [`GapStore`], in a module `gaps`. With `volatile`, those of transactions are left out.
#[macro_export]
macro_rules! gap_store_conformance {
    ($Harness:ty) => {
        mod gaps {
            #[allow(unused_imports)]
            use super::*;

            $crate::gap_store_conformance! { @shared $Harness }
            $crate::gap_store_conformance! { @tests $Harness:
                record_is_part_of_the_transaction
                change_commits_effects_and_gap_together
            }
        }
    };
    ($Harness:ty, volatile) => {
        mod gaps {
            #[allow(unused_imports)]
            use super::*;

            $crate::gap_store_conformance! { @shared $Harness }
        }
    };
    (@shared $Harness:ty) => {
        $crate::gap_store_conformance! { @tests $Harness:
            record_writes_each_sighting_once
            record_makes_a_session_due_at_the_earlier_time
            record_makes_a_session_with_an_open_gap_due_immediately
            touch_moves_the_silence_of_a_known_session_only
            endpoint_sightings_keep_the_latest_time
            endpoint_sightings_that_are_old_are_forgotten
            endpoint_is_due_at_the_earlier_time
            claim_takes_the_session_that_is_due_longest_first
            claim_gives_a_session_to_one_auditor_only
            session_claims_are_safe_for_many_at_once
            watched_returns_everything_of_the_session
            change_rolls_back_when_the_work_fails
            change_refuses_a_stale_lease
            change_reports_each_gap_once
            finish_sets_when_a_session_is_due_next
            finish_makes_a_session_due_immediately_if_something_was_recorded_since_the_claim
            next_session_names_the_earliest_time
            gaps_are_listed_in_pages_and_filtered
            counts_are_of_open_gaps_by_rule
            erase_session_deletes_its_sightings_and_gaps
            purge_deletes_sessions_that_are_settled
        }
    };
    (@tests $Harness:ty: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                if <$Harness as $crate::conformance::Harness>::skipped().is_none() {
                    $crate::conformance::block_on(|| $crate::watch::conformance::$name::<$Harness>());
                }
            }
        )*
    };
}

pub async fn record_writes_each_sighting_once<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    assert_eq!(recorded(&store, new("s-1", &["a", "b"], 0)).await, 2);
    let claim = claimed_one(&store, 15 * MINUTE).await;
    finished(&store, &claim, None, 15 * MINUTE).await;
    assert_eq!(recorded(&store, new("s-1", &["a"], 20 * MINUTE)).await, 0);
    assert_eq!(next(&store, 20 * MINUTE).await, None, "what is not new changes no session");
    assert_eq!(recorded(&store, new("s-1", &["b", "c"], 21 * MINUTE)).await, 1);
    assert_eq!(recorded(&store, new("s-2", &["a"], 21 * MINUTE)).await, 1);
    let sightings = store.watched(&session("s-1")).await.expect("read").sightings;
    let mut slots: Vec<_> = sightings.iter().map(|one| (one.slot.as_str(), one.recorded_at)).collect();
    slots.sort_unstable();
    assert_eq!(slots, [("a", at(0)), ("b", at(0)), ("c", at(21 * MINUTE))]);
}

pub async fn record_makes_a_session_due_at_the_earlier_time<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    recorded(&store, new("s-1", &["b"], MINUTE)).await;
    assert_eq!(next(&store, MINUTE).await, Some(Duration::from_secs(14 * 60)));
    let mut earlier = new("s-1", &["c"], 2 * MINUTE);
    earlier.due_at = at(3 * MINUTE);
    recorded(&store, earlier).await;
    assert_eq!(next(&store, 2 * MINUTE).await, Some(Duration::from_secs(60)));
    let claim = claimed_one(&store, 3 * MINUTE).await;
    assert_eq!((claim.version, claim.last_seen_at), (3, at(2 * MINUTE)));
}

pub async fn record_makes_a_session_with_an_open_gap_due_immediately<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let claim = claimed_one(&store, 15 * MINUTE).await;
    found(&store, &claim.lease, gap("s-1", Rule::RecordingNotUploaded, "a"), 15 * MINUTE).await;
    finished(&store, &claim, None, 15 * MINUTE).await;
    recorded(&store, new("s-1", &["b"], 60 * MINUTE)).await;
    let claim = claimed_one(&store, 60 * MINUTE).await;
    let closed = GapChange::Closed(listed(&store).await[0].id);
    changed(&store, &claim.lease, &closed, 60 * MINUTE).await.expect("recorded").expect("handled");
    finished(&store, &claim, None, 60 * MINUTE).await;
    recorded(&store, new("s-1", &["c"], 61 * MINUTE)).await;
    assert_eq!(next(&store, 61 * MINUTE).await, Some(Duration::from_secs(15 * 60)), "it has no open gap");
}

pub async fn touch_moves_the_silence_of_a_known_session_only<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    assert!(!touched(&store, "s-1", 0).await);
    assert_eq!(next(&store, 0).await, None);
    recorded(&store, new("s-1", &["a"], MINUTE)).await;
    assert!(touched(&store, "s-1", 2 * MINUTE).await);
    let claim = claimed_one(&store, 16 * MINUTE).await;
    assert_eq!((claim.version, claim.last_seen_at), (1, at(2 * MINUTE)));
}

pub async fn claim_takes_the_session_that_is_due_longest_first<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (name, minute) in [("s-1", 3), ("s-2", 1), ("s-3", 4), ("s-4", 2)] {
        recorded(&store, new(name, &["a"], minute * MINUTE)).await;
    }
    let mut order = Vec::new();
    for claim in [claimed(&store, 18 * MINUTE, 2).await, claimed(&store, 18 * MINUTE, 10).await].concat() {
        assert_eq!((claim.fqn.as_str(), claim.now), (support::FQN, at(18 * MINUTE)));
        order.push(claim.lease.session.to_string());
    }
    assert_eq!(order, ["s-2", "s-4", "s-1"], "s-3 is not due");
}

pub async fn claim_gives_a_session_to_one_auditor_only<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let first = claimed_one(&store, 15 * MINUTE).await.lease;
    assert!(claimed(&store, 15 * MINUTE + LEASE - 1, 10).await.is_empty());
    let second = claimed_one(&store, 15 * MINUTE + LEASE).await.lease;
    assert_eq!(second.session, first.session);
    assert!(second.fence > first.fence);
}

pub async fn session_claims_are_safe_for_many_at_once<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    for number in 0..20 {
        recorded(&harness.store(), new(&format!("s-{number}"), &["a"], number)).await;
    }
    let claims = (0..8).map(|_| {
        let store = harness.store();
        tokio::spawn(async move {
            let mut sessions = Vec::new();
            for _ in 0..10 {
                // Two that are in each other's way may both leave something for the next try.
                sessions.extend(claimed(&store, 16 * MINUTE, 3).await);
            }
            sessions.into_iter().map(|claim| claim.lease.session).collect::<Vec<_>>()
        })
    });
    let mut all = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        all.extend(claim.await.expect("no panic"));
    }
    assert_eq!(all.len(), 20);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 20);
}

pub async fn watched_returns_everything_of_the_session<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    // More than a page of 1000, fifty at a time.
    for part in 0..21 {
        let slots: Vec<String> = (0..50).map(|number| format!("{part}-{number}")).collect();
        let slots: Vec<&str> = slots.iter().map(String::as_str).collect();
        assert_eq!(recorded(&store, new("s-1", &slots, part)).await, 50);
    }
    let mut whole = new("s-2", &["x"], 0);
    whole.sightings[0].place = jaas_core::meetings::Place::from("breakout:b-1");
    whole.sightings[0].presence = "3988218d".to_owned();
    whole.sightings[0].via = jaas_core::meetings::Via::DialIn;
    whole.sightings[0].began_at = Some(at(-5));
    recorded(&store, whole.clone()).await;
    let watched = store.watched(&session("s-1")).await.expect("read");
    assert_eq!((watched.sightings.len(), watched.gaps.len()), (1050, 0));
    assert_eq!(store.watched(&session("s-2")).await.expect("read").sightings, whole.sightings);
    assert!(store.watched(&session("s-3")).await.expect("read").sightings.is_empty());
}

pub async fn finish_sets_when_a_session_is_due_next<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let stale = claimed_one(&store, 15 * MINUTE).await;
    let live = claimed_one(&store, 15 * MINUTE + LEASE).await;
    finished(&store, &stale, None, 17 * MINUTE).await;
    assert!(next(&store, 17 * MINUTE).await.is_some(), "a lease that is not held is passed over");
    finished(&store, &live, Some(60 * MINUTE), 17 * MINUTE).await;
    assert!(claimed(&store, 60 * MINUTE - 1, 10).await.is_empty());
    let again = claimed_one(&store, 60 * MINUTE).await;
    finished(&store, &again, None, 60 * MINUTE).await;
    assert_eq!(next(&store, 60 * MINUTE).await, None);
    store.finish_sessions(&[], at(0)).await.expect("nothing to finish");
}

pub async fn finish_makes_a_session_due_immediately_if_something_was_recorded_since_the_claim<
    H: Harness<Store: GapStore>,
>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let claim = claimed_one(&store, 15 * MINUTE).await;
    recorded(&store, new("s-1", &["b"], 15 * MINUTE + 1)).await;
    finished(&store, &claim, None, 15 * MINUTE + 2).await;
    let again = claimed_one(&store, 15 * MINUTE + 2).await;
    assert_eq!(again.version, claim.version + 1);
}

pub async fn next_session_names_the_earliest_time<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    assert_eq!(next(&store, 0).await, None);
    recorded(&store, new("s-2", &["a"], 2 * MINUTE)).await;
    recorded(&store, new("s-1", &["a"], 2 * MINUTE + 500)).await;
    assert_eq!(next(&store, 3 * MINUTE).await, Some(Duration::from_secs(14 * 60)));
    assert_eq!(next(&store, 40 * MINUTE).await, Some(Duration::ZERO));
}

pub async fn erase_session_deletes_its_sightings_and_gaps<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for name in ["s-1", "s-2"] {
        recorded(&store, new(name, &["a"], 0)).await;
        let claim = claimed_one(&store, 15 * MINUTE).await;
        found(&store, &claim.lease, gap(name, Rule::RecordingNotUploaded, "a"), 15 * MINUTE).await;
    }
    let claims = claimed(&store, 15 * MINUTE + LEASE, 10).await;
    let note = AuditNote::new("operator", "on request");
    assert_eq!(store.erase_session(&session("s-1"), &note, at(17 * MINUTE)).await.expect("erased"), 1);
    assert!(store.watched(&session("s-1")).await.expect("read").sightings.is_empty());
    let left: Vec<_> = listed(&store).await.into_iter().map(|one| one.gap.session_id).collect();
    assert_eq!(left, [session("s-2")]);
    let erased = claims.iter().find(|claim| claim.lease.session == session("s-1")).expect("claimed");
    let change = GapChange::Found(gap("s-1", Rule::StayNotLeft, "b"));
    let error = changed(&store, &erased.lease, &change, 18 * MINUTE).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    finished(&store, erased, Some(20 * MINUTE), 18 * MINUTE).await;
    let others: Vec<_> = claimed(&store, 60 * MINUTE, 10).await;
    assert_eq!(others.len(), 1, "nothing of it is left to audit");
}

pub async fn purge_deletes_sessions_that_are_settled<H: Harness<Store: GapStore>>() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let harness = H::start().await;
    let store = harness.store();
    for name in ["settled", "late", "due"] {
        recorded(&store, new(name, &["a"], 0)).await;
        let claim = claimed_one(&store, 15 * MINUTE).await;
        found(&store, &claim.lease, gap(name, Rule::RecordingNotUploaded, "a"), 15 * MINUTE).await;
        let next = (name == "due").then_some(100 * DAY);
        finished(&store, &claim, next, 15 * MINUTE).await;
    }
    recorded(&store, new("late", &["b"], DAY)).await;
    let claim = claimed_one(&store, DAY).await;
    finished(&store, &claim, None, DAY).await;
    let retention = Retention::builder(Tolerance::default()).events(EventState::Done, Keep::days(2)).build();
    let retention = retention.expect("a sound retention");
    let left = async || {
        let mut left: Vec<_> =
            listed(&store).await.into_iter().map(|one| one.gap.session_id.to_string()).collect();
        left.sort_unstable();
        left
    };
    store.purge(&retention, at(2 * DAY), 1000).await.expect("purged");
    assert_eq!(left().await, ["due", "late", "settled"]);
    store.purge(&retention, at(2 * DAY + 1), 1000).await.expect("purged");
    assert_eq!(left().await, ["due", "late"]);
    assert!(store.watched(&session("settled")).await.expect("read").sightings.is_empty());
    store.purge(&retention, at(3 * DAY + 1), 1000).await.expect("purged");
    assert_eq!(left().await, ["due"]);
    assert_eq!(store.watched(&session("due")).await.expect("read").sightings.len(), 1);
}
