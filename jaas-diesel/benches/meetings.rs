//! What the tables of meetings cost: asking them when many stays are kept, and filling them.
//!
//! `cargo bench -p jaas-diesel --all-features --bench meetings`, with `JAAS_TEST_POSTGRES_URL` and `JAAS_TEST_MYSQL_URL` for
//! the servers, and `JAAS_STAYS` for another number of kept stays than 1 000 000.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use jaas_core::event::Event;
use jaas_core::store::{EventAdmin, EventState};
use jaas_core::{Context, Delivery, EventHandler, Fqn, Handled, HandlerResult, Handlers, SessionId, Worker};
use jaas_diesel::meetings::{Meetings, MeetingsConnection};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore, mysql, postgres, sqlite};
use jaas_testkit::simulator::{Day, Meeting, Person};

use self::support::server::{Mysql, Postgres};
use self::support::wanted;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("sqlite") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("jaas.sqlite");
            let store = SqliteStore::open(&path).await.unwrap();
            let mut connection = sqlite::Connection::establish(path.to_str().unwrap()).await.unwrap();
            connection.batch_execute("PRAGMA busy_timeout = 10000").await.unwrap();
            let numbers = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {last})";
            measure("SQLite", &store, &mut connection, numbers, "'p' || n", "'s' || (n / 10)").await;
        }
        if let Some(database) = if wanted("postgres") { Postgres::create().await.ok() } else { None } {
            let store = PostgresStore::open(database.url()).await.unwrap();
            let mut connection = postgres::Connection::establish(&database.url()).await.unwrap();
            let numbers = "WITH n AS (SELECT n FROM generate_series(0, {last}) n)";
            measure("PostgreSQL", &store, &mut connection, numbers, "'p' || n", "'s' || (n / 10)").await;
        }
        if let Some(database) = if wanted("mysql") { Mysql::create().await.ok() } else { None } {
            let store = MysqlStore::open(database.url()).await.unwrap();
            let mut connection = mysql::Connection::establish(&database.url()).await.unwrap();
            // Both servers have it, MySQL under a limit that is lifted here.
            let _ = connection.batch_execute("SET SESSION cte_max_recursion_depth = 100000000").await;
            let _ = connection.batch_execute("SET SESSION max_recursive_iterations = 100000000").await;
            let numbers = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {last})";
            let (presence, session) = ("CONCAT('p', n)", "CONCAT('s', n DIV 10)");
            measure("MySQL or MariaDB", &store, &mut connection, numbers, presence, session).await;
        }
    });
}

async fn measure<S, C>(
    what: &str,
    store: &S,
    connection: &mut C,
    numbers: &str,
    presence: &str,
    session: &str,
) where
    S: EventAdmin<Tx = C> + Clone,
    C: MeetingsConnection + AsyncConnection,
{
    let kept: i64 = std::env::var("JAAS_STAYS").map_or(1_000_000, |number| number.parse().unwrap());
    println!("\n{what}, {kept} stays kept");
    let meetings = Meetings::builder().build().unwrap();

    road(what, store, &meetings).await;

    // Ten stays in each session, a hundred sessions in each of the rooms, all of them over but those of the lesson.
    let room = if what == "MySQL or MariaDB" {
        "CONCAT('room ', (n DIV 10) % 1000)"
    } else {
        "'room ' || ((n / 10) % 1000)"
    };
    let (numbers, insert) = (
        numbers.replace("{last}", &(kept - 1).to_string()),
        "INSERT INTO jaas_stays (session_id, presence, place, joined_at, left_at, estimated, tenant, room, via)",
    );
    let select =
        format!("SELECT {session}, {presence}, 'main', n, n + 60000, 0, 'app', {room}, 'participant' FROM n");
    let sql = if what == "MySQL or MariaDB" {
        format!("{insert} {numbers} {select}")
    } else {
        format!("{numbers} {insert} {select}")
    };
    connection.batch_execute(&sql).await.unwrap();
    let mut lesson = Meeting::new(1).in_room("room 7");
    for number in 0..500 {
        lesson.join(&Person::named(&format!("Person {number}")));
    }
    handle(store, &meetings, &lesson.deliveries()).await;

    let room = Fqn::new("room 7");
    let present = meetings.present(connection, &room).await.unwrap();
    assert_eq!(present.people.len(), 500);
    report("present, 500 people in the room", 1000, async || {
        meetings.present(connection, &room).await.unwrap();
    })
    .await;
    let empty = Fqn::new("room 8");
    report("present, an empty room with 1000 stays of the past", 500, async || {
        assert!(meetings.present(connection, &empty).await.unwrap().people.is_empty());
    })
    .await;
    let mut small = Meeting::new(2).in_room("room 9");
    for number in 0..8 {
        small.join(&Person::named(&format!("Person {number}")));
    }
    handle(store, &meetings, &small.deliveries()).await;
    let busy = Fqn::new("room 9");
    report("present, 8 people in the room", 500, async || {
        assert_eq!(meetings.present(connection, &busy).await.unwrap().people.len(), 8);
    })
    .await;
    let session: &SessionId = lesson.session();
    report("attendance of a session with 500 people", 500, async || {
        assert_eq!(meetings.attendance(connection, session).await.unwrap().unwrap().people.len(), 500);
    })
    .await;
}

async fn report(what: &str, times: usize, mut ask: impl AsyncFnMut()) {
    // What is made at first use: statements that are prepared, and pages that are in no cache yet.
    for _ in 0..20 {
        ask().await;
    }
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        ask().await;
        took.push(begun.elapsed());
    }
    took.sort();
    println!("  {what}: median {:?}, p99 {:?}", took[times / 2], took[times * 99 / 100]);
}

/// One insert for each event, which is the least a handler does.
struct OneInsert;

#[async_trait]
impl<C: SimpleAsyncConnection + Send> EventHandler<C> for OneInsert {
    async fn any_event(&self, cx: &mut Context<'_, C>, _: &Event) -> HandlerResult {
        let insert = format!(
            "INSERT INTO jaas_conflicts (endpoint, idempotency_key, body, body_hash, first_received_at, last_received_at) \
             VALUES ('x', '{}', '', '', 0, 0)",
            cx.envelope().idempotency_key
        );
        cx.tx().batch_execute(&insert).await?;
        Ok(Handled::Done)
    }
}

/// From the accepted events to the last commit, with this handler and with one insert.
async fn road<S, C>(what: &str, store: &S, meetings: &Meetings)
where
    S: EventAdmin<Tx = C> + Clone,
    C: MeetingsConnection + AsyncConnection,
{
    let day = |seed| -> Vec<Delivery> {
        Day::new(seed).meetings(60).play().iter().flat_map(Meeting::deliveries).collect()
    };
    // In turns, so that both have the same share of what else the machine does.
    let (mut events, mut took) = ([0; 2], [Duration::ZERO; 2]);
    for round in 0..6_u64 {
        for index in 0..2 {
            let deliveries = day(100 + round * 2 + index as u64);
            let begun = Instant::now();
            if index == 0 {
                work(store, Handlers::new().transactional("one", OneInsert), &deliveries).await;
            } else {
                work(store, Handlers::new().transactional("meetings", meetings.handler()), &deliveries).await;
            }
            events[index] += deliveries.len();
            took[index] += begun.elapsed();
        }
    }
    let rate = |index: usize| events[index] as f64 / took[index].as_secs_f64();
    let (one, tables) = (rate(0), rate(1));
    println!(
        "  {what}: {one:.0} events/s with one insert, {tables:.0} with the tables of meetings: {:.2} x",
        tables / one
    );
}

async fn handle<S, C>(store: &S, meetings: &Meetings, deliveries: &[Delivery])
where
    S: EventAdmin<Tx = C> + Clone,
    C: MeetingsConnection,
{
    work(store, Handlers::new().transactional("meetings", meetings.handler()), deliveries).await;
}

async fn work<S, C>(store: &S, handlers: Handlers<C>, deliveries: &[Delivery])
where
    S: EventAdmin<Tx = C> + Clone,
    C: Send + 'static,
{
    let worker = Worker::builder(store.clone(), handlers).build().unwrap().spawn();
    for some in deliveries.chunks(64) {
        futures_util::future::join_all(some.iter().map(|delivery| store.accept(delivery.clone()))).await;
    }
    loop {
        let stats = store.stats().await.unwrap();
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    worker.stop(Duration::from_secs(5)).await;
}
