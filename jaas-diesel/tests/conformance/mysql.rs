//! The MySQL store keeps the contract of every event store.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::Handled;
use jaas_diesel::MysqlStore;
use jaas_diesel::mysql::Connection;
use jaas_testkit::conformance::{DurableHarness, Harness, Written};

use crate::server;

diesel::table! {
    effects (id) {
        id -> BigInt,
        row -> Text,
    }
}

struct Mysql {
    database: server::Mysql,
    store: MysqlStore,
}

async fn open(database: &server::Mysql) -> MysqlStore {
    MysqlStore::builder(database.url()).callers_time(true).pool_size(4).open().await.expect("opened")
}

#[async_trait::async_trait]
impl Harness for Mysql {
    type Store = MysqlStore;

    fn skipped() -> Option<String> {
        server::url(server::Mysql::VARIABLE).err()
    }

    async fn start() -> Self {
        let database = server::Mysql::create().await.expect("a database");
        let tables = "CREATE TABLE effects (id BIGINT AUTO_INCREMENT PRIMARY KEY, `row` TEXT NOT NULL)";
        database.connect().await.batch_execute(tables).await.expect("created");
        let store = open(&database).await;
        Self { database, store }
    }

    fn store(&self) -> MysqlStore {
        self.store.clone()
    }
}

#[async_trait::async_trait]
impl DurableHarness for Mysql {
    async fn reopened(&self) -> MysqlStore {
        open(&self.database).await
    }

    fn write<'t>(tx: &'t mut Connection, row: &'static str) -> Written<'t> {
        Box::pin(async move {
            diesel::insert_into(effects::table).values(effects::row.eq(row)).execute(tx).await?;
            Ok(Handled::Done)
        })
    }

    async fn written(&self) -> Vec<String> {
        let query = effects::table.order(effects::id).select(effects::row);
        query.load(&mut self.database.connect().await).await.expect("listed")
    }
}

jaas_testkit::store_conformance!(Mysql);
jaas_testkit::settings_log_conformance!(Mysql);
