//! A database with the tables of the watch in it, and one of the application.

use std::fmt::Debug;
use std::future::Future;

use diesel::QueryDsl as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection};
use jaas_core::store::EventAdmin;
use jaas_core::watch::GapStore;
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

use crate::server;

diesel::table! {
    reported (name) {
        name -> Text,
    }
}

const CREATE: &str = "CREATE TABLE reported (name VARCHAR(500) NOT NULL)";

pub(crate) trait World: Sized + Send + Sync + 'static {
    type Connection: SimpleAsyncConnection + Send + 'static;
    type Store: GapStore<Tx = Self::Connection> + EventAdmin + Clone + Debug;

    /// The name of the module of its tests.
    const NAME: &'static str;

    /// `None` where there is no server, which is said.
    fn start() -> impl Future<Output = Option<Self>> + Send;
    fn url(&self) -> String;
    /// A store that uses the time it is given.
    fn open(url: String) -> impl Future<Output = Self::Store> + Send;
    /// What the application wrote.
    fn reported(&self) -> impl Future<Output = Vec<String>> + Send;
}

macro_rules! world_on_a_server {
    ($World:ident, $module:ident, $Store:ident) => {
        pub(crate) struct $World(server::$World);

        impl World for $World {
            type Connection = jaas_diesel::$module::Connection;
            type Store = $Store;

            const NAME: &'static str = stringify!($module);

            async fn start() -> Option<Self> {
                let database = server::$World::create().await.ok()?;
                database.connect().await.batch_execute(CREATE).await.expect("created");
                Some(Self(database))
            }

            fn url(&self) -> String {
                self.0.url()
            }

            async fn open(url: String) -> $Store {
                $Store::builder(url).callers_time(true).pool_size(4).open().await.expect("opened")
            }

            async fn reported(&self) -> Vec<String> {
                reported::table.select(reported::name).load(&mut self.0.connect().await).await.expect("read")
            }
        }
    };
}

world_on_a_server!(Postgres, postgres, PostgresStore);
world_on_a_server!(Mysql, mysql, MysqlStore);

pub(crate) struct Sqlite(tempfile::TempDir);

impl Sqlite {
    async fn connect(&self) -> jaas_diesel::sqlite::Connection {
        let mut connection =
            jaas_diesel::sqlite::Connection::establish(&self.url()).await.expect("connected");
        connection.batch_execute("PRAGMA busy_timeout = 10000").await.expect("set");
        connection
    }
}

impl World for Sqlite {
    type Connection = jaas_diesel::sqlite::Connection;
    type Store = SqliteStore;

    const NAME: &'static str = "sqlite";

    async fn start() -> Option<Self> {
        let world = Self(tempfile::tempdir().expect("a folder"));
        world.connect().await.batch_execute(CREATE).await.expect("created");
        Some(world)
    }

    fn url(&self) -> String {
        self.0.path().join("jaas.sqlite").to_str().expect("UTF-8").to_owned()
    }

    async fn open(url: String) -> SqliteStore {
        SqliteStore::open(url).await.expect("opened")
    }

    async fn reported(&self) -> Vec<String> {
        reported::table.select(reported::name).load(&mut self.connect().await).await.expect("read")
    }
}
