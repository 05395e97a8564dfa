//! MariaDB counts the rows that it reads from each table (`userstat`); MySQL counts them in its performance schema.

use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use jaas_diesel::MysqlStore;
use jaas_diesel::mysql::{Connection, Pool};

use crate::calls::{Meter, hot_road};
use crate::fill::{self, PUT_LONG_FIRST};
use crate::lists::lists;
use crate::meetings;
use crate::servers::{Mysql, Server};

struct RowsRead<'d> {
    database: &'d Mysql,
    sql: &'static str,
    before: i64,
    round: String,
    /// What was wrong, when lists are measured.
    lists: Option<Vec<String>>,
}

impl Meter for RowsRead<'_> {
    async fn start(&mut self) {
        self.before = self.database.ask(self.sql).await;
    }

    async fn check(&mut self, call: &str, n: usize) {
        let rows = self.database.ask(self.sql).await - self.before;
        assert!(
            rows > 0 || self.lists.is_some() || call.starts_with("accept"),
            "{call}: nothing was counted"
        );
        if rows > 30 + 8 * n as i64 {
            let why = format!("{call} of {n}, {}: read {rows} rows", self.round);
            self.lists.as_mut().expect(&why).push(why);
        }
    }

    fn read_lists(&mut self) {
        self.lists = Some(Vec::new());
    }

    fn failures(&mut self) -> Vec<String> {
        self.lists.take().unwrap_or_default()
    }

    async fn put_long_first(&mut self) {
        self.database.execute(PUT_LONG_FIRST).await;
    }
}

/// So that rows that an index condition filters out are counted too.
const SETUP: &str = "SET SESSION optimizer_switch = 'index_condition_pushdown=off'";

/// A pool whose connections also count the rows that an index condition filters out.
fn pool(address: &str) -> Pool {
    let mut manager = ManagerConfig::default();
    manager.custom_setup = Box::new(|address| {
        async move {
            let mut connection = Connection::establish(address).await?;
            connection
                .batch_execute(SETUP)
                .await
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::<Connection>::new_with_config(address, manager);
    Pool::builder().max_size(4).build_unchecked(manager)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_for_each_event_read_few_rows_on_mysql() {
    let database = crate::server_or_return!(Mysql);
    database.open().await;
    let sql = if database.ask("@@version LIKE '%MariaDB%'").await == 1 {
        database.execute("SET GLOBAL userstat = ON").await;
        "SELECT CAST(COALESCE(SUM(rows_read), 0) AS SIGNED) FROM information_schema.table_statistics \
         WHERE table_schema = DATABASE()"
    } else {
        "SELECT CAST(COALESCE(SUM(count_fetch), 0) AS SIGNED) FROM performance_schema.table_io_waits_summary_by_table \
         WHERE object_schema = DATABASE()"
    };
    let tables = || {
        ["jaas_events", "jaas_queues", "jaas_counts", "jaas_conflicts"].into_iter().chain(meetings::TABLES)
    };
    let listed = tables().collect::<Vec<_>>().join(", ");
    let analyze = format!("ANALYZE TABLE {listed}");
    for table in tables() {
        database.execute(&format!("ALTER TABLE {table} STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0")).await;
    }
    database.execute(&analyze).await;
    for statement in [fill::statements(), fill::histories(), meetings::statements()].concat() {
        database.execute(&statement).await;
    }
    let forget = format!(
        "DELETE FROM mysql.innodb_index_stats WHERE database_name = DATABASE(); \
         DELETE FROM mysql.innodb_table_stats WHERE database_name = DATABASE(); FLUSH TABLES {listed}"
    );
    for (statistics, what) in [("of empty tables", "SELECT 1"), ("none", &forget), ("fresh", &analyze)] {
        database.execute(what).await;
        let store = MysqlStore::from_pool(pool(&database.address())).open().await.expect("opened");
        let round = format!("statistics {statistics}");
        let mut meter = RowsRead { database: &database, sql, before: 0, round: round.clone(), lists: None };
        hot_road(&store, &mut meter, &round).await;
        lists(&store, &mut meter).await;
        store.close().await;
        meetings::meetings::<Connection>(&database.address(), SETUP, &mut meter, &round).await;
    }
}
