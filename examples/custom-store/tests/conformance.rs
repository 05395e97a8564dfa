//! The store keeps every promise of the trait.

use async_trait::async_trait;
use custom_store::{JournalStore, Transaction};
use jaas_core::Handled;
use jaas_testkit::conformance::{DurableHarness, Harness, Written};
use tempfile::TempDir;

struct Journal {
    folder: TempDir,
    store: JournalStore,
}

#[async_trait]
impl Harness for Journal {
    type Store = JournalStore;

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = JournalStore::open(folder.path()).await.unwrap();
        Self { folder, store }
    }

    fn store(&self) -> JournalStore {
        self.store.clone()
    }
}

#[async_trait]
impl DurableHarness for Journal {
    /// Another thread with another handle on the same file: what another process has.
    async fn reopened(&self) -> JournalStore {
        JournalStore::open(self.folder.path()).await.unwrap()
    }

    fn write<'t>(transaction: &'t mut Transaction, row: &'static str) -> Written<'t> {
        Box::pin(async move {
            transaction.put(row, "");
            Ok(Handled::Done)
        })
    }

    async fn written(&self) -> Vec<String> {
        let values = self.store.values("").await.unwrap();
        values.into_iter().map(|(key, _)| key).collect()
    }
}

jaas_testkit::store_conformance!(Journal);
