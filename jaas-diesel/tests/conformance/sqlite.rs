//! The SQLite store keeps the contract of every event store.

use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use jaas_core::Handled;
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use jaas_testkit::conformance::{DurableHarness, Harness, Written};
use tempfile::TempDir;

diesel::table! {
    effects (id) {
        id -> Integer,
        row -> Text,
    }
}

struct Sqlite {
    folder: TempDir,
    store: SqliteStore,
}

#[async_trait::async_trait]
impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.expect("opened");
        let harness = Self { folder, store };
        diesel::connection::SimpleConnection::batch_execute(
            &mut harness.connection(),
            "CREATE TABLE effects (id INTEGER PRIMARY KEY, row TEXT NOT NULL)",
        )
        .expect("created");
        harness
    }

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }
}

impl Sqlite {
    fn connection(&self) -> SqliteConnection {
        let path = self.folder.path().join("jaas.sqlite");
        SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("connected")
    }
}

#[async_trait::async_trait]
impl DurableHarness for Sqlite {
    async fn reopened(&self) -> SqliteStore {
        SqliteStore::open(self.folder.path().join("jaas.sqlite")).await.expect("opened")
    }

    fn write<'t>(tx: &'t mut Connection, row: &'static str) -> Written<'t> {
        Box::pin(async move {
            let insert = diesel::insert_into(effects::table).values(effects::row.eq(row));
            diesel_async::RunQueryDsl::execute(insert, tx).await?;
            Ok(Handled::Done)
        })
    }

    async fn written(&self) -> Vec<String> {
        let query = effects::table.order(effects::id).select(effects::row);
        diesel::RunQueryDsl::load(query, &mut self.connection()).expect("listed")
    }
}

jaas_testkit::store_conformance!(Sqlite);
jaas_testkit::settings_log_conformance!(Sqlite);
jaas_testkit::gap_store_conformance!(Sqlite);
#[cfg(feature = "archive")]
jaas_testkit::artifact_store_conformance!(Sqlite);
