//! SQLite explains the plan of each statement, and diesel reports which statements the store sends.

use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl as _};

use crate::calls::{Meter, hot_road};
use crate::fill::{self, PUT_LONG_FIRST};
use crate::lists::lists;
use crate::meetings;
use crate::support::Folder;

/// The statements that the store has sent.
static SENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records the statements on SQLite connections. This process also has connections to other databases.
#[derive(Default)]
struct Notes {
    is_sqlite: bool,
}

impl Instrumentation for Notes {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                self.is_sqlite = url.contains(".sqlite");
            }
            InstrumentationEvent::StartQuery { query, .. } if self.is_sqlite => {
                SENT.lock().expect("not poisoned").push(query.to_string());
            }
            _ => {}
        }
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The allowed ways to read a table: one row by a key, or rows in the order in which the statement wants them.
const BY_KEY: [&str; 16] = [
    "jaas_events USING INTEGER PRIMARY KEY (rowid=?)",
    "jaas_events USING INDEX sqlite_autoindex_jaas_events_1 (endpoint=? AND idempotency_key=?)",
    "jaas_queues USING PRIMARY KEY (ordering_key=?)",
    "jaas_queues USING INDEX jaas_queues_event (event_id=?)",
    "jaas_queues USING INDEX jaas_queues_suspect (suspect_turn=?)",
    "jaas_conflicts USING INDEX sqlite_autoindex_jaas_conflicts_1 (endpoint=? AND idempotency_key=? AND body_hash=?)",
    "jaas_queues USING COVERING INDEX jaas_queues_event (event_id=?)",
    "jaas_watched USING INDEX sqlite_autoindex_jaas_watched_1 (session_id=?)",
    "jaas_sightings USING INDEX sqlite_autoindex_jaas_sightings_1 (session_id=? AND what=? AND slot=?)",
    "jaas_gaps USING INDEX sqlite_autoindex_jaas_gaps_1 (session_id=? AND rule=? AND subject=?)",
    "jaas_gaps USING INTEGER PRIMARY KEY (rowid=?)",
    // What was seen in a session, and its gaps.
    "jaas_sightings USING INDEX jaas_sightings_by_session (session_id=? AND id>?)",
    "jaas_gaps USING INDEX jaas_gaps_by_session (session_id=? AND id>?)",
    "jaas_gaps USING INDEX jaas_gaps_by_session (session_id=? AND id<?)",
    // What an endpoint showed: some rows for each hour of the weeks that are kept. It is written once a minute.
    "jaas_sightings USING INDEX jaas_sightings_by_session (session_id=?)",
    // Few rows.
    "jaas_counts",
];
/// The queues in which an event runs: no more than workers hold claims.
const RUNNING: [&str; 1] = ["jaas_queues USING INDEX jaas_queues_due (phase=?)"];
const IN_ORDER: [&str; 13] = [
    "jaas_events USING INDEX jaas_events_waiting (ordering_key=? AND passable=? AND place>?)",
    "jaas_events USING INDEX jaas_events_waiting (ordering_key=? AND passable=?)",
    "jaas_events USING INDEX jaas_events_by_state (state=?)",
    "jaas_watched USING INDEX jaas_watched_due (due_at<?)",
    "jaas_watched USING COVERING INDEX jaas_watched_due (due_at>?)",
    "jaas_gaps USING INTEGER PRIMARY KEY (rowid<?)",
    "jaas_gaps USING INDEX jaas_gaps_by_state (state=? AND id<?)",
    "jaas_gaps USING INDEX jaas_gaps_by_rule (state=? AND rule=? AND id<?)",
    "jaas_gaps USING INDEX jaas_gaps_by_room (room=? AND id<?)",
    "jaas_queues USING INDEX jaas_queues_due (phase=? AND due_at<?)",
    "jaas_queues USING INDEX jaas_queues_due (phase=? AND due_at>? AND due_at<?)",
    "jaas_queues USING COVERING INDEX jaas_queues_due (phase=? AND due_at<?)",
    "jaas_queues USING COVERING INDEX jaas_queues_due (phase=? AND due_at>?)",
];

fn is_one_of(allowed: &[&str], detail: &str) -> bool {
    let lookup = detail.strip_prefix("SEARCH ").or(detail.strip_prefix("SCAN "));
    lookup.is_some_and(|lookup| allowed.contains(&lookup))
}

/// Whether a statement needs only the first of the rows that it finds in order.
fn stops_early(sql: &str) -> bool {
    sql.contains("LIMIT") || sql.contains("EXISTS") || sql.contains("min(")
}

/// Whether a step of a list reads a bounded number of rows: those of a key, or in the order of an index until the limit.
fn is_listed(sql: &str, detail: &str) -> bool {
    // The groups are counted, a key is at few endpoints, and few events run.
    let sorts_few = sql.contains("GROUP BY") || sql.contains("id + 0") || sql.contains(" IN (");
    if detail.contains("TEMP B-TREE") {
        return sorts_few;
    }
    let few = ["jaas_migrations", "jaas_counts", "jaas_queues", "jaas_activity"]
        .iter()
        .any(|table| detail.contains(table));
    let by_key =
        ["(rowid=?)", "idempotency_key=?", "event_id=?", "session_id=?", "minute", "(endpoint=? AND"];
    let sought = detail.starts_with("SEARCH ");
    let grouped = sql.contains("GROUP BY") && detail.contains("(state=?");
    !detail.contains(" jaas_")
        || few
        || (sought && (stops_early(sql) || grouped || by_key.iter().any(|key| detail.contains(key))))
        || (detail.contains("COVERING INDEX") && stops_early(sql))
}

struct Planned<'f> {
    folder: &'f Folder,
    round: String,
    /// What was wrong, when lists are measured.
    lists: Option<Vec<String>>,
    /// Whether these are the tables of meetings.
    of_meetings: bool,
}

impl Meter for Planned<'_> {
    async fn start(&mut self) {
        SENT.lock().expect("not poisoned").clear();
    }

    async fn check(&mut self, call: &str, _: usize) {
        let sent = std::mem::take(&mut *SENT.lock().expect("not poisoned"));
        let mut connection = self.folder.connection();
        let mut planned = 0;
        for sql in sent.iter().filter_map(|sql| sql.split(" -- binds: ").next()) {
            if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|begin| sql.starts_with(begin)) {
                continue;
            }
            planned += 1;
            let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
            for Line { detail } in plan.load::<Line>(&mut connection).expect(sql) {
                // The list of migrations has a row for each migration, and none for events.
                let few = !detail.contains(" jaas_")
                    || detail == "SCAN jaas_migrations"
                    || is_one_of(&BY_KEY, &detail)
                    || (is_one_of(&RUNNING, &detail) && sql.contains("jaas_queues.phase = 2"))
                    || (is_one_of(&IN_ORDER, &detail) && stops_early(sql));
                let sorts = detail.contains("TEMP B-TREE");
                let few = match &self.lists {
                    _ if self.of_meetings => meetings::is_sought(sql, &detail),
                    Some(_) => is_listed(sql, &detail),
                    None => few && !sorts,
                };
                if !few {
                    let why = format!("{call}, {}: {detail}: {sql}", self.round);
                    self.lists.as_mut().expect(&why).push(why);
                }
            }
        }
        assert!(planned > 0, "{call}: nothing was sent");
    }

    fn read_lists(&mut self) {
        self.lists = Some(Vec::new());
    }

    fn failures(&mut self) -> Vec<String> {
        self.lists.take().unwrap_or_default()
    }

    async fn put_long_first(&mut self) {
        self.folder.execute(PUT_LONG_FIRST);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_for_each_event_read_few_rows_on_sqlite() {
    set_default_instrumentation(|| Some(Box::<Notes>::default())).expect("set");
    let folder = Folder::new();
    folder.open().await.close().await;
    folder.execute(&format!(
        "BEGIN; {}; COMMIT",
        [fill::statements(), fill::histories(), meetings::statements()].concat().join("; ")
    ));
    // Statistics as if each table had one row.
    let stale = "ANALYZE sqlite_schema; INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT tbl_name, name, '1 1 1 1 1 1' \
                 FROM sqlite_schema WHERE type = 'index' AND tbl_name LIKE 'jaas%'";
    for (statistics, sql) in [("none", "SELECT 1"), ("of small tables", stale), ("fresh", "ANALYZE")] {
        folder.execute(sql);
        let store = folder.open().await;
        let round = format!("statistics {statistics}");
        let mut meter = Planned { folder: &folder, round: round.clone(), lists: None, of_meetings: false };
        hot_road(&store, &mut meter, &round).await;
        lists(&store, &mut meter).await;
        store.close().await;
        meter.of_meetings = true;
        let path = folder.path();
        let path = path.to_str().expect("UTF-8");
        meetings::meetings::<jaas_diesel::sqlite::Connection>(path, "SELECT 1", &mut meter, &round).await;
    }
}
