//! An inbox over the SQLite store keeps the contract of every dispatcher.

use std::sync::Arc;

use jaas_core::store::{EventAdmin as _, EventQuery};
use jaas_core::{Dispatcher, Inbox};
use jaas_diesel::SqliteStore;
use jaas_testkit::conformance::DispatcherHarness;
use jaas_testkit::{Fault, FaultyStore, Op};
use tempfile::TempDir;

struct OverSqlite {
    store: FaultyStore<SqliteStore>,
    _folder: TempDir,
}

#[async_trait::async_trait]
impl DispatcherHarness for OverSqlite {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.expect("opened");
        Self { store: FaultyStore::new(store), _folder: folder }
    }

    fn dispatcher(&self) -> Arc<dyn Dispatcher> {
        Arc::new(Inbox::new(self.store.clone()))
    }

    fn fail_next(&self) {
        self.store.script(Op::Accept, Fault::Before);
    }

    async fn taken(&self) -> Vec<String> {
        let events = self.store.events(&EventQuery::default()).await.expect("listed").items;
        events.into_iter().map(|event| event.idempotency_key.into_string()).collect()
    }
}

jaas_testkit::dispatcher_conformance!(OverSqlite);
