//! How fast events are accepted, compared with plain inserts on the same disk in the same run.
//!
//! `cargo bench -p jaas-diesel --all-features --bench accept`, with `JAAS_TEST_POSTGRES_URL` and
//! `JAAS_TEST_MYSQL_URL` for the servers; `-- postgres 64` for one of them, with so many callers. pgbench is used if it is installed.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::time::Instant;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use diesel_async::RunQueryDsl as _;
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

use self::support::server::{Mysql, Postgres};
use self::support::{
    COLUMNS, Row, Speed, accepted, body, callers, concurrently, events, jaas_events, one_insert_per_event,
    prefix, wanted,
};

const CALLERS: [usize; 4] = [1, 16, 64, 256];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("sqlite") {
            sqlite().await;
        }
        if wanted("postgres") {
            postgres().await;
        }
        if wanted("mysql") {
            mysql().await;
        }
    });
}

fn heading(what: &str) {
    println!(
        "\n{what}\n{:>8} {:>10} {:>10} {:>10} {:>10}   against by hand",
        "callers", "events/s", "p50", "p99", "longest"
    );
}

fn line(callers: usize, ours: Speed, by_hand: &[(&str, Speed)]) {
    print!(
        "{callers:>8} {:>10.0} {:>10.1?} {:>10.1?} {:>10.1?}  ",
        ours.rate, ours.p50, ours.p99, ours.longest
    );
    for (what, speed) in by_hand {
        let p99 = ours.p99.as_secs_f64() / speed.p99.as_secs_f64();
        print!(
            " {:.2} x {what} ({:.0}/s, longest {:.1?}, our p99 {p99:.2} of its)",
            ours.rate / speed.rate,
            speed.rate,
            speed.longest
        );
    }
    println!();
}

async fn sqlite() {
    heading("SQLite, WAL, synchronous=FULL");
    let folder = tempfile::tempdir().unwrap();
    for callers in callers(&CALLERS) {
        let by_hand = folder.path().join(format!("{callers}-by-hand.sqlite"));
        let alone = one_transaction_per_event(&by_hand, callers).await;
        let store = SqliteStore::open(folder.path().join(format!("{callers}.sqlite"))).await.unwrap();
        let ours = accepted(&store, callers, events(callers)).await;
        store.close().await;
        line(callers, ours, &[("a transaction each", alone)]);
    }
}

/// One connection behind a lock, as a simple receiver would have it.
async fn one_transaction_per_event(path: &Path, callers: usize) -> Speed {
    SqliteStore::open(path).await.unwrap().close().await;
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    connection.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    let connection = std::sync::Arc::new(tokio::sync::Mutex::new(connection));
    concurrently(callers, events(callers).min(12_800), move |number| {
        let connection = connection.clone();
        async move {
            let sql = format!(
                "BEGIN IMMEDIATE; INSERT INTO jaas_events ({COLUMNS}) VALUES ('main', '{number}', \
                 'PARTICIPANT_JOINED', 's-{number}', 'vpaas-magic-cookie-1/math', 1, 1, '{}', '', 'waiting', '', 1, 'ss-{number}', 1); COMMIT",
                body(&number.to_string())
            );
            let mut connection = connection.lock_owned().await;
            tokio::task::spawn_blocking(move || connection.batch_execute(&sql).unwrap()).await.unwrap();
        }
    })
    .await
}

async fn postgres() {
    let Ok(database) = Postgres::create().await else { return };
    let store = PostgresStore::open(database.url()).await.unwrap();
    let many = rows_of_postgres(&database.url()).await;
    heading(&format!("PostgreSQL; a 64-row insert by hand: {many:.0} rows/s"));
    for callers in callers(&CALLERS) {
        let [prepared, each_time] =
            one_insert_per_event!(jaas_diesel::postgres::Connection, database.url(), callers);
        let ours = accepted(&store, callers, events(callers)).await;
        line(
            callers,
            ours,
            &[("an insert each, pool of 16", prepared), ("one prepared each time", each_time)],
        );
        print!("{:>42} {:.2} of the 64-row insert", "", ours.rate / many);
        match pgbench(&database.url(), callers) {
            Some(rate) => println!("; {:.2} x pgbench ({rate:.0}/s)", ours.rate / rate),
            None => println!("; pgbench is not installed"),
        }
    }
    store.close().await;
}

async fn mysql() {
    let Ok(database) = Mysql::create().await else { return };
    let store = MysqlStore::open(database.url()).await.unwrap();
    let many = rows_of_mysql(database.connect().await).await;
    heading(&format!("MySQL or MariaDB; a 64-row insert by hand: {many:.0} rows/s"));
    for callers in callers(&CALLERS) {
        let [prepared, each_time] =
            one_insert_per_event!(jaas_diesel::mysql::Connection, database.url(), callers);
        let ours = accepted(&store, callers, events(callers)).await;
        line(
            callers,
            ours,
            &[("an insert each, pool of 16", prepared), ("one prepared each time", each_time)],
        );
        println!("{:>42} {:.2} of the 64-row insert", "", ours.rate / many);
    }
    store.close().await;
}

const ROUNDS: usize = 200;

/// The best case of the database: 64 rows in one prepared statement of arrays, one statement after the other.
async fn rows_of_postgres(url: &str) -> f64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let insert = client
        .prepare(&format!(
            "INSERT INTO jaas_events ({COLUMNS}) SELECT 'by hand', k, 'PARTICIPANT_JOINED', 's-' || k, \
             'vpaas-magic-cookie-1/math', 1, 1, b, h, 'done', '', 1, 'ss-' || k, 1 \
             FROM UNNEST($1::text[], $2::bytea[], $3::bytea[]) AS u (k, b, h) ON CONFLICT DO NOTHING"
        ))
        .await
        .unwrap();
    let run = prefix();
    let started = Instant::now();
    for round in 0..ROUNDS {
        let rows: Vec<Row> = (0..64).map(|row| Row::new(&format!("{run}-{round}-{row}"))).collect();
        let keys: Vec<&str> = rows.iter().map(|row| &*row.idempotency_key).collect();
        let bodies: Vec<&[u8]> = rows.iter().map(|row| &*row.body).collect();
        let hashes: Vec<&[u8]> = rows.iter().map(|row| &*row.body_hash).collect();
        assert_eq!(
            tokio_postgres::Client::execute(&client, &insert, &[&keys, &bodies, &hashes]).await.unwrap(),
            64
        );
    }
    let rate = (ROUNDS * 64) as f64 / started.elapsed().as_secs_f64();
    driver.abort();
    rate
}

async fn rows_of_mysql(mut connection: jaas_diesel::mysql::Connection) -> f64 {
    let run = prefix();
    let started = Instant::now();
    for round in 0..ROUNDS {
        let rows: Vec<Row> = (0..64).map(|row| Row::new(&format!("{run}-{round}-{row}"))).collect();
        diesel::insert_into(jaas_events::table).values(rows).execute(&mut connection).await.unwrap();
    }
    (ROUNDS * 64) as f64 / started.elapsed().as_secs_f64()
}

/// How many single inserts pgbench does in a second, with as many clients.
fn pgbench(url: &str, clients: usize) -> Option<f64> {
    let script = tempfile::NamedTempFile::new().ok()?;
    let sql = format!(
        "\\set k random(1, 9000000000000000000)\nINSERT INTO jaas_events ({COLUMNS}) VALUES ('pgbench', :k::text, \
         'PARTICIPANT_JOINED', 's-' || :k, 'vpaas-magic-cookie-1/math', 1, 1, '{}', \
         'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'done', '', 1, 'ss-' || :k, 1) ON CONFLICT DO NOTHING;\n",
        body("00000000-00000").replace(':', "\\072")
    );
    std::fs::write(script.path(), sql).ok()?;
    let clients = clients.min(90).to_string();
    let output = std::process::Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--time=4", "--client", &clients, "--file"])
        .arg(script.path())
        .arg(url)
        .output()
        .ok()?;
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = output.lines().find(|line| line.starts_with("tps"))?;
    tps.split_whitespace().nth(2)?.parse().ok()
}
