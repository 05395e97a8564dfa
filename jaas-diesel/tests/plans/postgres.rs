//! PostgreSQL sends the executed plan of each statement to the client as a notice (`auto_explain`).

use jaas_diesel::postgres::Connection;
use serde_json::Value;

use crate::calls::{Meter, hot_road};
use crate::fill::{self, PUT_LONG_FIRST};
use crate::lists::lists;
use crate::meetings;
use crate::proxy::Proxy;
use crate::servers::{Postgres, Server, Settings};

/// Makes the server explain each statement.
const EXPLAIN: [&str; 7] = [
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_analyze=on",
    "auto_explain.log_buffers=on",
    "auto_explain.log_timing=off",
    "auto_explain.log_format=json",
    "auto_explain.log_level=notice",
];

struct Explained<'d> {
    database: &'d Postgres,
    proxy: Proxy,
    round: String,
    /// What was wrong, when lists are measured.
    lists: Option<Vec<String>>,
}

impl Meter for Explained<'_> {
    async fn start(&mut self) {
        self.proxy.notices().await;
    }

    async fn check(&mut self, call: &str, n: usize) {
        let plans = plans(&self.proxy.notices().await);
        assert!(!plans.is_empty(), "{call}: nothing was explained");
        let n = n as u64;
        let mut all_rows = 0;
        for plan in plans {
            let (rows, pages) = looked_at(&plan["Plan"]);
            all_rows += rows;
            if rows > 10 + 4 * n || pages > 200 + 80 * n {
                let round = &self.round;
                let why = format!("{call} of {n}, {round}: looked at {rows} rows in {pages} pages: {plan:#}");
                self.lists.as_mut().expect(&why).push(why);
            }
        }
        assert!(
            all_rows > 0 || self.lists.is_some() || call.starts_with("accept"),
            "{call}: no row was read"
        );
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

/// The plans in these notices.
fn plans(notices: &[Vec<u8>]) -> Vec<Value> {
    let texts = notices.iter().map(|notice| String::from_utf8_lossy(notice).into_owned());
    let plans = texts.filter_map(|text| {
        let from = text.split_once("plan:\n")?.1;
        let json = from.split('\0').next()?;
        Some(serde_json::from_str(json).expect("JSON"))
    });
    plans.collect()
}

/// How many rows the scans of a plan have read, and how many pages.
fn looked_at(plan: &Value) -> (u64, u64) {
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let removed = |(key, value): (&String, &Value)| {
        if key.starts_with("Rows Removed by") { value.as_f64().unwrap_or(0.0) } else { 0.0 }
    };
    let removed: f64 = plan.as_object().into_iter().flatten().map(removed).sum();
    let scans = plan.get("Index Name").or(plan.get("Relation Name")).is_some() && plan["Operation"].is_null();
    let returned = if scans { number("Actual Rows") } else { 0.0 };
    let mut rows = ((returned + removed) * number("Actual Loops")).ceil() as u64;
    // The total of the plan does not include data-modifying parts besides the statement itself.
    let counts = plan["Parent Relationship"].is_null() || plan["Parent Relationship"] == "InitPlan";
    let mut pages = 0;
    if counts {
        pages = ["Shared Hit Blocks", "Shared Read Blocks"].iter().map(|key| number(key) as u64).sum();
    }
    for inner in plan["Plans"].as_array().into_iter().flatten() {
        let (inner_rows, inner_pages) = looked_at(inner);
        rows += inner_rows;
        pages += inner_pages;
    }
    (rows, pages)
}

/// The tables whose statistics change.
fn tables() -> impl Iterator<Item = &'static str> {
    ["jaas_events", "jaas_queues", "jaas_counts", "jaas_conflicts"].into_iter().chain(meetings::TABLES)
}

fn analyze() -> String {
    format!("ANALYZE {}", tables().collect::<Vec<_>>().join(", "))
}

/// Deletes the planner's statistics of the tables.
fn forget() -> String {
    let tables: Vec<String> = tables().map(|table| format!("'{table}'::regclass")).collect();
    let tables = format!("({})", tables.join(", "));
    format!(
        "DELETE FROM pg_statistic WHERE starelid IN {tables}; \
         UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid IN {tables} \
         OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN {tables})"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_for_each_event_read_few_rows_on_postgresql() {
    let database = crate::server_or_return!(Postgres);
    database.open().await;
    for table in tables() {
        database.execute(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
    }
    database.execute(&analyze()).await;
    for statement in [fill::statements(), fill::histories(), meetings::statements()].concat() {
        database.execute(&statement).await;
    }
    let (forget, analyze) = (forget(), analyze());
    let knowledge = [("of empty tables", "SELECT 1"), ("none", forget.as_str()), ("fresh", analyze.as_str())];
    look(&database, &knowledge).await;
}

/// On a server that has been running for long, the statistics may be from a time when every event was settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_for_each_event_read_few_rows_on_postgresql_with_statistics_from_when_nothing_waited() {
    let database = crate::server_or_return!(Postgres);
    database.open().await;
    database.execute("ALTER TABLE jaas_events SET (autovacuum_enabled = off)").await;
    let statements = [fill::statements(), fill::histories(), meetings::statements()].concat();
    let settled = statements.iter().position(|sql| sql.contains("'settled'")).expect("settled rows");
    let (before, after) = statements.split_at(settled + 1);
    for statement in before {
        database.execute(statement).await;
    }
    database.execute("ANALYZE jaas_events, jaas_queues, jaas_counts, jaas_conflicts").await;
    for statement in after {
        database.execute(statement).await;
    }
    look(&database, &[("of settled events", "SELECT 1")]).await;
}

async fn look(database: &Postgres, knowledge: &[(&str, &str)]) {
    for (statistics, sql) in knowledge {
        database.execute(sql).await;
        for plans in ["force_generic_plan", "force_custom_plan"] {
            let round = format!("statistics {statistics}, {plans}");
            let direct = database.address();
            let proxy = Proxy::start(&direct).await;
            let mut options = String::from("options=");
            for setting in EXPLAIN.into_iter().chain([&*format!("plan_cache_mode={plans}")]) {
                options += &format!("-c%20{}%20", setting.replace('=', "%3D"));
            }
            let address = proxy.address(&direct).replacen("options=", &options, 1) + "&sslmode=disable";
            let store = Postgres::open_at(address.clone(), Settings::default()).await.expect("opened");
            let mut meter = Explained { database, proxy, round: round.clone(), lists: None };
            hot_road(&store, &mut meter, &round).await;
            lists(&store, &mut meter).await;
            store.close().await;
            meetings::meetings::<Connection>(&address, "SELECT 1", &mut meter, &round).await;
        }
    }
}
