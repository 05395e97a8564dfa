//! The store keeps every promise of the contract.

use std::sync::Arc;

use async_trait::async_trait;
use custom_store::{Redb, RedbStore, Transaction};
use jaas_core::Handled;
use jaas_testkit::conformance::{DurableHarness, Harness, Written};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tempfile::TempDir;

/// A table of the application.
const WRITTEN: TableDefinition<'_, &str, ()> = TableDefinition::new("written");

struct OneFile {
    database: Arc<Database>,
    store: RedbStore,
    _folder: TempDir,
}

#[async_trait]
impl Harness for OneFile {
    type Store = RedbStore;

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::create(folder.path().join("jaas.redb")).unwrap());
        let create = database.begin_write().unwrap();
        create.open_table(WRITTEN).unwrap();
        create.commit().unwrap();
        let store = Redb::store(database.clone()).await.unwrap();
        Self { database, store, _folder: folder }
    }

    fn store(&self) -> RedbStore {
        self.store.clone()
    }
}

#[async_trait]
impl DurableHarness for OneFile {
    /// redb lets only one process open a file, so the other store uses the same database. `tests/crash.rs` tests what a crash
    /// leaves.
    async fn reopened(&self) -> RedbStore {
        Redb::store(self.database.clone()).await.unwrap()
    }

    fn write<'t>(transaction: &'t mut Transaction, row: &'static str) -> Written<'t> {
        Box::pin(async move {
            transaction.write(move |tables| {
                tables.open_table(WRITTEN)?.insert(row, ())?;
                Ok(())
            });
            Ok(Handled::Done)
        })
    }

    async fn written(&self) -> Vec<String> {
        let written = self.database.begin_read().unwrap().open_table(WRITTEN).unwrap();
        written.iter().unwrap().map(|row| row.unwrap().0.value().to_owned()).collect()
    }
}

jaas_testkit::store_conformance!(OneFile);
