//! A separate database for each test, and its contents at the end.

use std::collections::{BTreeMap, BTreeSet};

use diesel::QueryDsl as _;
use diesel_async::{AsyncConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::store::{
    Attempt, AttemptQuery, AuditNote, Conflict, EventAdmin, EventQuery, EventState, PageRequest, StoredEvent,
};
use jaas_core::{Clock as _, SystemClock};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore, mysql, postgres, sqlite};
use tempfile::TempDir;

use super::not_tested;
use crate::schema::{edges, endings, handled};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
    Sqlite,
}

/// A database for one test, dropped at its end.
pub(crate) struct Database {
    pub(crate) kind: Kind,
    /// A value for `DATABASE_URL`.
    pub(crate) url: String,
    /// The server and the statement that drop it.
    drop: Option<(String, String)>,
    _folder: Option<TempDir>,
}

/// One row of the table of the same name.
#[derive(Debug, Clone)]
pub(crate) struct Handled {
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) session: Option<String>,
    pub(crate) worker: String,
    pub(crate) attempt: i32,
}

/// Each join (`true`) and leave: session, presence, room and time.
pub(crate) type Edges = BTreeSet<(String, String, String, i64, bool)>;

/// Runs this on a connection of any type.
macro_rules! connected {
    ($database:expr, $connection:ident => $query:expr) => {
        match $database.kind {
            Kind::Postgres => {
                let mut $connection =
                    postgres::Connection::establish(&$database.url).await.expect("connected");
                $query
            }
            Kind::Mysql => {
                let mut $connection = mysql::Connection::establish(&$database.url).await.expect("connected");
                $query
            }
            Kind::Sqlite => {
                let mut $connection =
                    sqlite::Connection::establish($database.path()).await.expect("connected");
                $connection.batch_execute("PRAGMA busy_timeout = 5000").await.expect("set");
                $query
            }
        }
    };
}

/// Runs this with a store of any type.
macro_rules! stored {
    ($database:expr, $store:ident => $work:expr) => {
        match $database.kind {
            Kind::Postgres => {
                let $store = PostgresStore::open(&*$database.url).await.expect("opened");
                let done = $work;
                $store.close().await;
                done
            }
            Kind::Mysql => {
                let $store = MysqlStore::open(&*$database.url).await.expect("opened");
                let done = $work;
                $store.close().await;
                done
            }
            Kind::Sqlite => {
                let $store = SqliteStore::open($database.path()).await.expect("opened");
                let done = $work;
                $store.close().await;
                done
            }
        }
    };
}

impl Database {
    /// Creates a database on the server of the tests, or in a folder. Without a server, prints that and returns `None`.
    pub(crate) async fn create(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Postgres => {
                let server = server("JAAS_TEST_POSTGRES_URL", "PostgreSQL")?;
                let name = name();
                execute::<postgres::Connection>(&server, &format!("CREATE SCHEMA {name}")).await;
                let separator = if server.contains('?') { '&' } else { '?' };
                let url = format!("{server}{separator}options=-c%20search_path%3D{name}");
                let drop = Some((server, format!("DROP SCHEMA {name} CASCADE")));
                Some(Self { kind, url, drop, _folder: None })
            }
            Kind::Mysql => {
                let server = server("JAAS_TEST_MYSQL_URL", "MySQL and MariaDB")?;
                let name = name();
                execute::<mysql::Connection>(&server, &format!("CREATE DATABASE {name}")).await;
                let (address, query) = server.split_once('?').unwrap_or((&server, ""));
                let host = address.rsplit_once('/').map_or(address, |(host, _)| host);
                let url = format!("{host}/{name}?{query}");
                Some(Self { kind, url, drop: Some((server, format!("DROP DATABASE {name}"))), _folder: None })
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let url = format!("sqlite://{}", folder.path().join("jaas.sqlite").display());
                Some(Self { kind, url, drop: None, _folder: Some(folder) })
            }
        }
    }

    /// A database that the caller drops.
    pub(crate) fn at(kind: Kind, url: String) -> Self {
        Self { kind, url, drop: None, _folder: None }
    }

    fn path(&self) -> &str {
        self.url.trim_start_matches("sqlite://")
    }

    /// Whether a connection can be made.
    pub(crate) async fn answers(&self) -> bool {
        match self.kind {
            Kind::Postgres => postgres::Connection::establish(&self.url).await.is_ok(),
            Kind::Mysql => mysql::Connection::establish(&self.url).await.is_ok(),
            Kind::Sqlite => true,
        }
    }

    /// Returns every row of `handled`.
    pub(crate) async fn handled(&self) -> Vec<Handled> {
        type Row = (i64, String, String, Option<String>, String, i32);
        let rows: Vec<Row> =
            connected!(self, connection => handled::table.load(&mut connection).await.expect("loaded"));
        let handled =
            |(_, key, kind, session, worker, attempt)| Handled { key, kind, session, worker, attempt };
        rows.into_iter().map(handled).collect()
    }

    pub(crate) async fn count_handled(&self) -> i64 {
        connected!(self, connection => handled::table.count().get_result(&mut connection).await.expect("counted"))
    }

    pub(crate) async fn edges(&self) -> Edges {
        let rows: Vec<_> =
            connected!(self, connection => edges::table.load(&mut connection).await.expect("loaded"));
        rows.into_iter().collect()
    }

    /// Returns when each meeting ended, by its session.
    pub(crate) async fn endings(&self) -> BTreeMap<String, i64> {
        let rows: Vec<_> =
            connected!(self, connection => endings::table.load(&mut connection).await.expect("loaded"));
        rows.into_iter().collect()
    }

    /// Returns every event of the inbox.
    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        stored!(self, store => {
            let mut query = EventQuery { page: LARGEST, ..EventQuery::default() };
            let mut events = Vec::new();
            loop {
                let page = store.events(&query).await.expect("listed");
                events.extend(page.items);
                match page.next {
                    Some(next) => query.page.after = Some(next),
                    None => break events,
                }
            }
        })
    }

    /// Returns every attempt that did not succeed.
    pub(crate) async fn attempts(&self) -> Vec<Attempt> {
        stored!(self, store => {
            let mut query = AttemptQuery { page: LARGEST, ..AttemptQuery::default() };
            let mut attempts = Vec::new();
            loop {
                let page = store.attempts(&query).await.expect("listed");
                attempts.extend(page.items);
                match page.next {
                    Some(next) => query.page.after = Some(next),
                    None => break attempts,
                }
            }
        })
    }

    pub(crate) async fn conflicts(&self) -> Vec<Conflict> {
        stored!(self, store => {
            let page = store.conflicts(LARGEST).await.expect("listed");
            assert_eq!(page.next, None, "one page is enough");
            page.items
        })
    }

    /// Returns how many events wait or run.
    pub(crate) async fn unsettled(&self) -> u64 {
        stored!(self, store => {
            let stats = store.stats().await.expect("counted");
            stats.count(EventState::Waiting) + stats.count(EventState::Running)
        })
    }

    /// Replays the dead letters.
    pub(crate) async fn replay_dead(&self) {
        let note = AuditNote::new("harness", "the crash was not its fault");
        stored!(self, store => {
            let mut query =
                EventQuery { state: Some(EventState::Dead), page: LARGEST, ..EventQuery::default() };
            loop {
                let page = store.replay_matching(&query, &note, SystemClock.now()).await.expect("replayed");
                match page.next {
                    Some(next) => query.page.after = Some(next),
                    None => break,
                }
            }
        });
    }
}

const LARGEST: PageRequest = PageRequest { limit: PageRequest::MAX_LIMIT, ..PageRequest::first() };

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, sql)) = self.drop.take() else { return };
        let kind = self.kind;
        // In a thread with its own runtime, because the test's runtime may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let limit = std::time::Duration::from_secs(10);
                let dropped = async {
                    match kind {
                        Kind::Postgres => execute::<postgres::Connection>(&server, &sql).await,
                        _ => execute::<mysql::Connection>(&server, &sql).await,
                    }
                };
                let _ = tokio::time::timeout(limit, dropped).await;
            });
        });
        let _ = dropped.join();
    }
}

/// The server in this variable.
fn server(variable: &str, servers: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        not_tested(servers, &format!("{variable} is not set"));
    }
    url
}

fn name() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("jaas_test_{:016x}", RandomState::new().hash_one(std::process::id()))
}

async fn execute<C: AsyncConnection>(server: &str, sql: &str) {
    let mut connection = C::establish(server).await.expect("the server of the tests is reachable");
    connection.batch_execute(sql).await.expect(sql);
}
