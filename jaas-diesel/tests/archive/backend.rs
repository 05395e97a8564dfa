//! The three databases, with the application's table of files in each.

use std::future::Future;

use async_trait::async_trait;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::archive::{ArtifactContext, ArtifactHandler, ArtifactStore, Kept, Lost};
use jaas_core::{Handled, HandlerResult};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

diesel::table! {
    kept_files (id) {
        id -> BigInt,
        idempotency_key -> Text,
        bytes -> BigInt,
        lost -> Nullable<Text>,
    }
}

/// A row of the application: the key of the event, the length of the file, why it is lost.
pub(crate) type FileRow = (String, i64, Option<String>);

/// A kind of database.
pub(crate) trait Backend: Send + Sync + 'static {
    type Tx: Send + 'static;
    type Store: ArtifactStore<Tx = Self::Tx> + Clone;
    /// Writes a row for each file that is kept or lost. The table takes a file twice, so that a second call shows.
    type Files: ArtifactHandler<Self::Tx> + Default;

    const NAME: &str;

    fn open(address: &str) -> impl Future<Output = Self::Store> + Send;
    fn close(store: &Self::Store) -> impl Future<Output = ()> + Send;
    fn create_table(address: &str) -> impl Future<Output = ()> + Send;
    fn rows(address: &str) -> impl Future<Output = Vec<FileRow>> + Send;
    fn count(address: &str) -> impl Future<Output = i64> + Send;
}

macro_rules! backend {
    ($Backend:ident, $Files:ident: $name:literal, $Store:ident, $module:ident, $id:literal) => {
        pub(crate) struct $Backend;

        #[derive(Default)]
        pub(crate) struct $Files;

        impl Backend for $Backend {
            type Tx = jaas_diesel::$module::Connection;
            type Store = $Store;
            type Files = $Files;

            const NAME: &str = $name;

            async fn open(address: &str) -> $Store {
                $Store::open(address).await.expect("opened")
            }

            async fn close(store: &$Store) {
                store.close().await;
            }

            async fn create_table(address: &str) {
                let mut connection = Self::Tx::establish(address).await.expect("connected");
                let sql = concat!(
                    "CREATE TABLE kept_files (id ",
                    $id,
                    ", idempotency_key VARCHAR(255) NOT NULL, bytes BIGINT NOT NULL, lost VARCHAR(255))"
                );
                connection.batch_execute(sql).await.expect("created");
            }

            async fn rows(address: &str) -> Vec<FileRow> {
                let mut connection = Self::Tx::establish(address).await.expect("connected");
                let rows = kept_files::table.order(kept_files::id);
                let rows = rows.select((kept_files::idempotency_key, kept_files::bytes, kept_files::lost));
                rows.load(&mut connection).await.expect("listed")
            }

            async fn count(address: &str) -> i64 {
                let mut connection = Self::Tx::establish(address).await.expect("connected");
                kept_files::table.count().get_result(&mut connection).await.expect("counted")
            }
        }

        #[async_trait]
        impl ArtifactHandler<jaas_diesel::$module::Connection> for $Files {
            async fn stored(
                &self,
                cx: &mut ArtifactContext<'_, jaas_diesel::$module::Connection>,
                kept: &Kept,
            ) -> HandlerResult {
                let row = (
                    kept_files::idempotency_key.eq(cx.artifact().idempotency_key.as_str().to_owned()),
                    kept_files::bytes.eq(i64::try_from(kept.bytes)?),
                );
                diesel::insert_into(kept_files::table).values(row).execute(cx.tx()).await?;
                Ok(Handled::Done)
            }

            async fn lost(
                &self,
                cx: &mut ArtifactContext<'_, jaas_diesel::$module::Connection>,
                lost: &Lost,
            ) -> HandlerResult {
                let row = (
                    kept_files::idempotency_key.eq(cx.artifact().idempotency_key.as_str().to_owned()),
                    kept_files::bytes.eq(0),
                    kept_files::lost.eq(lost.why.as_str()),
                );
                diesel::insert_into(kept_files::table).values(row).execute(cx.tx()).await?;
                Ok(Handled::Done)
            }
        }
    };
}

backend!(Sqlite, SqliteFiles: "sqlite", SqliteStore, sqlite, "INTEGER PRIMARY KEY");
backend!(Postgres, PostgresFiles: "postgres", PostgresStore, postgres, "BIGSERIAL PRIMARY KEY");
backend!(Mysql, MysqlFiles: "mysql", MysqlStore, mysql, "BIGINT AUTO_INCREMENT PRIMARY KEY");
