//! The stores on servers keep the contract of every event store. One text mounts it for both, because each has its own types.

/// Mounts the contract for the store of one server, in a module of its backend's name.
macro_rules! on_a_server {
    ($backend:ident, $Server:ident, $Store:ident, $table:literal) => {
        mod $backend {
            use diesel::{ExpressionMethods as _, QueryDsl as _};
            use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
            use jaas_core::Handled;
            use jaas_diesel::$Store;
            use jaas_diesel::$backend::Connection;
            use jaas_testkit::conformance::{DurableHarness, Harness, Written};

            use crate::server;

            diesel::table! {
                effects (id) {
                    id -> BigInt,
                    row -> Text,
                }
            }

            struct Store {
                database: server::$Server,
                store: $Store,
            }

            async fn open(database: &server::$Server) -> $Store {
                $Store::builder(database.url()).callers_time(true).pool_size(4).open().await.expect("opened")
            }

            #[async_trait::async_trait]
            impl Harness for Store {
                type Store = $Store;

                fn skipped() -> Option<String> {
                    server::url(server::$Server::VARIABLE).err()
                }

                async fn start() -> Self {
                    let database = server::$Server::create().await.expect("a database");
                    database.connect().await.batch_execute($table).await.expect("created");
                    let store = open(&database).await;
                    Self { database, store }
                }

                fn store(&self) -> $Store {
                    self.store.clone()
                }
            }

            #[async_trait::async_trait]
            impl DurableHarness for Store {
                async fn reopened(&self) -> $Store {
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

            jaas_testkit::store_conformance!(Store);
            jaas_testkit::settings_log_conformance!(Store);
            jaas_testkit::gap_store_conformance!(Store);
            #[cfg(feature = "archive")]
            jaas_testkit::artifact_store_conformance!(Store);
        }
    };
}

#[cfg(feature = "mysql")]
on_a_server!(
    mysql,
    Mysql,
    MysqlStore,
    "CREATE TABLE effects (id BIGINT AUTO_INCREMENT PRIMARY KEY, `row` TEXT NOT NULL)"
);
#[cfg(feature = "postgres")]
on_a_server!(
    postgres,
    Postgres,
    PostgresStore,
    "CREATE TABLE effects (id BIGSERIAL PRIMARY KEY, row TEXT NOT NULL)"
);
