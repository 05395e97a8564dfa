//! The PostgreSQL store keeps the contract of every event store.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::Handled;
use jaas_diesel::PostgresStore;
use jaas_diesel::postgres::Connection;
use jaas_testkit::conformance::{DurableHarness, Harness, Written};

use crate::server;

diesel::table! {
    effects (id) {
        id -> BigInt,
        row -> Text,
    }
}

struct Postgres {
    database: server::Postgres,
    store: PostgresStore,
}

async fn open(database: &server::Postgres) -> PostgresStore {
    PostgresStore::builder(database.url()).callers_time(true).pool_size(4).open().await.expect("opened")
}

#[async_trait::async_trait]
impl Harness for Postgres {
    type Store = PostgresStore;

    fn skipped() -> Option<String> {
        server::url(server::Postgres::VARIABLE).err()
    }

    async fn start() -> Self {
        let database = server::Postgres::create().await.expect("a database");
        let tables = "CREATE TABLE effects (id BIGSERIAL PRIMARY KEY, row TEXT NOT NULL)";
        database.connect().await.batch_execute(tables).await.expect("created");
        let store = open(&database).await;
        Self { database, store }
    }

    fn store(&self) -> PostgresStore {
        self.store.clone()
    }
}

#[async_trait::async_trait]
impl DurableHarness for Postgres {
    async fn reopened(&self) -> PostgresStore {
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

jaas_testkit::store_conformance!(Postgres);
jaas_testkit::settings_log_conformance!(Postgres);
