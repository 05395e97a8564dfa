//! A database with the tables of meetings in it, and workers that fill them.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncConnection;
use jaas_core::meetings::MeetingReader;
use jaas_core::store::{EventAdmin, EventState, EventStore as _};
use jaas_core::{Delivery, Handlers, Timestamp, Worker, WorkerHandle};
use jaas_diesel::meetings::{Meetings, MeetingsConnection};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore, mysql, postgres, sqlite};
use serde_json::{Value, json};

use crate::server;

/// Mounts tests on the three databases.
macro_rules! on_all {
    ($($name:ident)*) => {
        $crate::meetings::world::on_all! { @ sqlite Sqlite $($name)* }
        $crate::meetings::world::on_all! { @ postgres Postgres $($name)* }
        $crate::meetings::world::on_all! { @ mysql Mysql $($name)* }
    };
    (@ $module:ident $World:ident $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some(world) = <$crate::meetings::world::$World as $crate::meetings::world::World>::start().await else { return };
                    super::$name(&world).await;
                }
            )*
        }
    };
}
pub(crate) use on_all;

pub(crate) trait World: Sized + Send + Sync + 'static {
    type Connection: MeetingsConnection + AsyncConnection + 'static;
    type Store: EventAdmin<Tx = Self::Connection> + Clone + Debug;

    /// `None` where there is no server, which is said.
    fn start() -> impl Future<Output = Option<Self>> + Send;
    fn store(&self) -> Self::Store;
    fn url(&self) -> String;
    fn reader(&self, meetings: &Meetings) -> Arc<dyn MeetingReader>;
    /// The store of a database that another process has created.
    fn open(url: String) -> impl Future<Output = Self::Store> + Send;

    async fn connection(&self) -> Self::Connection {
        connect(self.url()).await.expect("connected")
    }

    /// So many workers with the handler of these tables.
    fn work(&self, meetings: &Meetings, workers: usize) -> Vec<WorkerHandle> {
        let one = || {
            let handlers = Handlers::new().transactional("meetings", meetings.handler());
            Worker::builder(self.store(), handlers).build().expect("a worker").spawn()
        };
        (0..workers).map(|_| one()).collect()
    }

    async fn accept(&self, deliveries: &[Delivery]) {
        for some in deliveries.chunks(64) {
            let store = self.store();
            let all = some.iter().map(|delivery| store.accept(delivery.clone()));
            futures_util::future::try_join_all(all).await.expect("accepted");
        }
    }

    /// Waits until every event is settled, and none is dead.
    async fn is_worked_off(&self) {
        let (mut fewest, mut since) = (u64::MAX, Instant::now());
        loop {
            let stats = self.store().stats().await.expect("counted");
            assert_eq!(stats.count(EventState::Dead), 0);
            let open = stats.count(EventState::Waiting) + stats.count(EventState::Running);
            if open == 0 {
                return;
            }
            if open < fewest {
                (fewest, since) = (open, Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(300), "nothing is worked off: {stats:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The handler sees these, one by one, each in a transaction of its own.
    async fn handle(&self, meetings: &Meetings, deliveries: &[Delivery]) {
        let workers = self.work(meetings, 1);
        self.accept(deliveries).await;
        self.is_worked_off().await;
        stop(workers).await;
    }
}

pub(crate) async fn stop(workers: Vec<WorkerHandle>) {
    for worker in workers {
        worker.stop(Duration::from_secs(5)).await;
    }
}

/// A connection of the application's.
pub(crate) async fn connect<C: AsyncConnection>(url: String) -> diesel::ConnectionResult<C> {
    let mut connection = C::establish(&url).await?;
    if url.ends_with(".sqlite") {
        connection.batch_execute("PRAGMA busy_timeout = 10000").await.expect("set");
    }
    Ok(connection)
}

pub(crate) struct Sqlite {
    folder: tempfile::TempDir,
    store: SqliteStore,
}

impl World for Sqlite {
    type Connection = sqlite::Connection;
    type Store = SqliteStore;

    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.expect("opened");
        Some(Self { folder, store })
    }

    async fn open(url: String) -> SqliteStore {
        SqliteStore::open(url).await.expect("opened")
    }

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    fn reader(&self, meetings: &Meetings) -> Arc<dyn MeetingReader> {
        Arc::new(self.store.meeting_tables(meetings))
    }

    fn url(&self) -> String {
        self.folder.path().join("jaas.sqlite").to_str().expect("UTF-8").to_owned()
    }
}

pub(crate) struct Postgres {
    database: server::Postgres,
    store: PostgresStore,
}

impl World for Postgres {
    type Connection = postgres::Connection;
    type Store = PostgresStore;

    async fn start() -> Option<Self> {
        let database = server::Postgres::create().await.ok()?;
        let store = PostgresStore::open(database.url()).await.expect("opened");
        Some(Self { database, store })
    }

    async fn open(url: String) -> PostgresStore {
        PostgresStore::open(url).await.expect("opened")
    }

    fn store(&self) -> PostgresStore {
        self.store.clone()
    }

    fn reader(&self, meetings: &Meetings) -> Arc<dyn MeetingReader> {
        Arc::new(self.store.meeting_tables(meetings))
    }

    fn url(&self) -> String {
        self.database.url()
    }
}

pub(crate) struct Mysql {
    database: server::Mysql,
    store: MysqlStore,
}

impl World for Mysql {
    type Connection = mysql::Connection;
    type Store = MysqlStore;

    async fn start() -> Option<Self> {
        let database = server::Mysql::create().await.ok()?;
        let store = MysqlStore::open(database.url()).await.expect("opened");
        Some(Self { database, store })
    }

    async fn open(url: String) -> MysqlStore {
        MysqlStore::open(url).await.expect("opened")
    }

    fn store(&self) -> MysqlStore {
        self.store.clone()
    }

    fn reader(&self, meetings: &Meetings) -> Arc<dyn MeetingReader> {
        Arc::new(self.store.meeting_tables(meetings))
    }

    fn url(&self) -> String {
        self.database.url()
    }
}

/// An event of a session, so many seconds after the epoch.
pub(crate) fn event(session: &str, kind: &str, secs: i64, data: &Value) -> Delivery {
    let who: String = data["participantId"].as_str().unwrap_or_default().chars().take(20).collect();
    let body = json!({
        "idempotencyKey": format!("{session}-{kind}-{secs}-{who}"), "eventType": kind,
        "sessionId": session, "fqn": "vpaas-magic-cookie-1/Math%20Room", "timestamp": secs * 1000, "data": data,
    });
    Delivery::parse("main", Timestamp::from_secs(secs), body.to_string().into()).expect("an envelope")
}

pub(crate) fn opened(session: &str, secs: i64) -> Delivery {
    event(session, "ROOM_CREATED", secs, &json!({}))
}

pub(crate) fn closed(session: &str, secs: i64) -> Delivery {
    event(session, "ROOM_DESTROYED", secs, &json!({}))
}

pub(crate) fn joined(session: &str, secs: i64, who: &str) -> Delivery {
    let data = json!({"participantId": who, "id": format!("user-{who}"), "name": who.to_uppercase()});
    event(session, "PARTICIPANT_JOINED", secs, &data)
}

pub(crate) fn left(session: &str, secs: i64, who: &str) -> Delivery {
    let data = json!({"participantId": who, "disconnectReason": "left"});
    event(session, "PARTICIPANT_LEFT", secs, &data)
}
