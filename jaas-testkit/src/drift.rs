//! Tests for implementations of [`DriftStore`]: one for every bullet of the `# Behavior` sections of the trait.
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
//! jaas_testkit::drift_store_conformance!(Memory);
//! # fn main() {}
//! ```
// Each mounted name is a test, and says what it tests.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc, clippy::panic)]

use futures_util::future::join_all;
use jaas_core::Timestamp;
use jaas_core::drift::{Drift, DriftKind, DriftRecord, DriftSighting, DriftStore};
use jaas_core::store::{EventQuery, EventStore as _, PageRequest};

use crate::conformance::Harness;
use crate::event;

/// Mounts the tests of a [`DriftStore`], in a module `drift_store`.
#[macro_export]
macro_rules! drift_store_conformance {
    ($Harness:ty) => {
        mod drift_store {
            #[allow(unused_imports)]
            use super::*;

            $crate::drift_store_conformance! { $Harness:
                a_thing_has_one_row_and_is_new_once
                later_sightings_change_the_count_and_the_time
                the_example_is_the_row_of_its_event
                drift_is_listed_in_pages
                drift_is_forgotten_by_when_it_was_last_seen
            }
        }
    };
    ($Harness:ty: $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                use $crate::conformance::Harness as _;
                if <$Harness>::skipped().is_none() {
                    $crate::drift::$name::<$Harness>().await;
                }
            }
        )*
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn field(name: &str, json_type: &str) -> Drift {
    Drift::new(DriftKind::Field, "ROOM_CREATED", format!("data.{name}"), json_type)
}

fn seen(drift: Drift, second: i64) -> DriftSighting {
    DriftSighting::new(drift, at(second), "main", "k".into())
}

async fn records(store: &impl DriftStore, newest_first: bool) -> Vec<DriftRecord> {
    let mut page = PageRequest { limit: 2, newest_first, ..PageRequest::first() };
    let mut all = Vec::new();
    loop {
        let listed = store.drift_records(page).await.expect("listed");
        assert!(listed.items.len() <= 2, "more than requested");
        all.extend(listed.items);
        let Some(next) = listed.next else { return all };
        page.after = Some(next);
    }
}

pub async fn a_thing_has_one_row_and_is_new_once<H: Harness<Store: DriftStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let things = [
        Drift::new(DriftKind::Type, "WHITEBOARD_OPENED", "", ""),
        Drift::new(DriftKind::Word, "PARTICIPANT_LEFT", "data.disconnectReason", "teleported"),
        Drift::new(DriftKind::JsonType, "PARTICIPANT_LEFT", "data.name", "list"),
        field("mood", "string"),
        field("mood", "number"),
        field("Mood", "number"),
        // As long as they come.
        Drift::new(DriftKind::Type, "\u{1f600}".repeat(63), "", ""),
        Drift::new(DriftKind::Word, "X", "data.word", "w".repeat(64)),
    ];
    let sightings: Vec<_> = things.iter().map(|thing| seen(thing.clone(), 1)).collect();
    let calls = (0..8).map(|_| store.record_drift(&sightings));
    let mut new: Vec<_> = join_all(calls).await.into_iter().flat_map(|new| new.expect("recorded")).collect();
    new.sort();
    let mut expected = things.to_vec();
    expected.sort();
    assert_eq!(new, expected, "each once");
    let listed = records(&store, false).await;
    assert_eq!(listed.len(), things.len());
    assert!(listed.iter().all(|record| record.count == 8), "{listed:?}");
    assert!(store.record_drift(&[]).await.expect("nothing to record").is_empty());
}

pub async fn later_sightings_change_the_count_and_the_time<H: Harness<Store: DriftStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut first = seen(field("mood", "string"), 100);
    first.fixture = Some("{\n  \"eventType\": \"ROOM_CREATED\"\n}".to_owned());
    store.record_drift(std::slice::from_ref(&first)).await.expect("recorded");
    let mut later = DriftSighting::new(first.drift.clone(), at(150), "other", "k-2".into());
    later.count = 41;
    later.last_seen = at(200);
    later.fixture = Some("{}".to_owned());
    assert!(store.record_drift(&[later]).await.expect("recorded").is_empty(), "it is not new");
    let [record] = &records(&store, false).await[..] else { panic!("one row") };
    assert_eq!((record.count, record.first_seen, record.last_seen), (42, at(100), at(200)));
    assert_eq!((record.kind, &*record.event_type), (DriftKind::Field, "ROOM_CREATED"));
    assert_eq!((&*record.field, &*record.detail), ("data.mood", "string"));
    assert_eq!(record.fixture, first.fixture);
}

pub async fn the_example_is_the_row_of_its_event<H: Harness<Store: DriftStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["k-1", "k-2"] {
        store.accept(event::room_created().key(key).delivery()).await.expect("accepted");
    }
    let events = jaas_core::store::EventAdmin::events(&store, &EventQuery::default()).await.expect("listed");
    let wanted = events.items.iter().find(|event| event.idempotency_key == "k-2").expect("the event");
    let stored = DriftSighting::new(field("mood", "string"), at(1), wanted.endpoint.clone(), "k-2".into());
    let unknown = DriftSighting::new(field("odd", "bool"), at(1), "elsewhere", "k-2".into());
    store.record_drift(&[stored, unknown]).await.expect("recorded");
    let examples: Vec<_> = records(&store, false).await.into_iter().map(|record| record.example).collect();
    assert_eq!(examples, [Some(wanted.id), None]);
}

pub async fn drift_is_listed_in_pages<H: Harness<Store: DriftStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for number in 0..5 {
        store.record_drift(&[seen(field(&format!("f{number}"), "bool"), number)]).await.expect("recorded");
    }
    let listed = records(&store, false).await;
    assert!(listed.windows(2).all(|pair| pair[0].id < pair[1].id), "rows grow");
    assert_eq!(listed.len(), 5);
    let newest: Vec<_> = records(&store, true).await.into_iter().rev().collect();
    assert_eq!(newest, listed);
}

pub async fn drift_is_forgotten_by_when_it_was_last_seen<H: Harness<Store: DriftStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let sightings: Vec<_> =
        (1..=4).map(|second| seen(field(&format!("f{second}"), "bool"), second)).collect();
    store.record_drift(&sightings).await.expect("recorded");
    store.record_drift(&[seen(field("f1", "bool"), 9)]).await.expect("seen again");
    for (limit, forgotten) in [(1, 1), (10, 1), (10, 0)] {
        assert_eq!(store.forget_drift(at(4), limit).await.expect("forgotten"), forgotten);
    }
    let left: Vec<_> = records(&store, false).await.into_iter().map(|record| record.field).collect();
    assert_eq!(left, ["data.f1", "data.f4"]);
    let again = store.record_drift(&sightings[1..2]).await.expect("recorded");
    assert_eq!(again, [field("f2", "bool")], "it is new again");
}
