//! The reference store keeps its own contract.
#![allow(clippy::expect_used)]

use std::sync::Arc;

use jaas_core::store::{EventStore as _, MemoryStore, StoreErrorKind};
use jaas_core::{Delivery, Timestamp};
use jaas_testkit::conformance::Harness;

struct Memory(Arc<MemoryStore>);

#[async_trait::async_trait]
impl Harness for Memory {
    type Store = Arc<MemoryStore>;

    async fn start() -> Self {
        Self(Arc::new(MemoryStore::new()))
    }

    fn store(&self) -> Self::Store {
        self.0.clone()
    }
}

jaas_testkit::store_conformance!(Memory, volatile);
jaas_testkit::settings_log_conformance!(Memory);
jaas_testkit::drift_store_conformance!(Memory);
jaas_testkit::artifact_store_conformance!(Memory, volatile);
jaas_testkit::gap_store_conformance!(Memory, volatile);

#[tokio::test]
async fn a_full_store_is_not_ready() {
    let store = MemoryStore::with_capacity(1);
    store.ping().await.expect("there is room");
    let body = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED"}"#;
    let delivery = Delivery::parse("main", Timestamp::from_millis(0), body.into()).expect("an envelope");
    store.accept(delivery).await.expect("accepted");
    assert_eq!(store.ping().await.expect_err("it is full").kind(), StoreErrorKind::Overloaded);
}
