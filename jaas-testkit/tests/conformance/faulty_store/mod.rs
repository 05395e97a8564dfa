//! The failing store: without faults it keeps the contract, and with faults the code that relies on it survives.

mod faults;
mod survival;

use async_trait::async_trait;
use jaas_core::store::MemoryStore;
use jaas_testkit::FaultyStore;
use jaas_testkit::conformance::Harness;

struct Faultless(FaultyStore<MemoryStore>);

#[async_trait]
impl Harness for Faultless {
    type Store = FaultyStore<MemoryStore>;

    async fn start() -> Self {
        Self(FaultyStore::new(MemoryStore::new()))
    }

    fn store(&self) -> Self::Store {
        self.0.clone()
    }
}

jaas_testkit::store_conformance!(Faultless, volatile);
