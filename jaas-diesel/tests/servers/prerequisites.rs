//! A store does not open on a database that cannot store every event, and its error names the remedy.

use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::store::{Accepted, EventStore as _, StoreError, StoreErrorKind};
use jaas_core::{Delivery, Timestamp};
use jaas_diesel::{MysqlStore, PostgresStore, mysql, postgres};

use crate::own_servers::{Kind, OwnServer};
use crate::servers::{Mysql, Postgres, Server, Settings, in_time, joined_at, on_server, url};

on_server! { on_mysql: Mysql;
    an_address_without_a_database_is_refused
    a_table_of_another_engine_is_refused
    one_event_that_is_too_large_for_the_connection_does_not_fail_the_others
}

fn refused(opened: Result<impl Sized, StoreError>, with: &[&str]) {
    let error = opened.map(drop).expect_err("it is refused");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let said = error.to_string();
    assert!(with.iter().all(|part| said.contains(part)), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_database_that_is_not_in_utf_8_is_refused() {
    let Ok(server) = url(Postgres::VARIABLE) else { return };
    let mut connection = postgres::Connection::establish(&server).await.expect("connected");
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = format!("jaas_test_{}_{}", encoding.to_lowercase(), std::process::id());
        let create = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        connection.batch_execute(&create).await.expect("created");
        let (address, database) = server.rsplit_once('/').expect("an address with a database");
        let query = database.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let address = format!("{address}/{name}{query}");
        let opened = PostgresStore::open(&*address).await.map(drop);
        let manager = AsyncDieselConnectionManager::<postgres::Connection>::new(address.clone());
        let pool = postgres::Pool::builder().max_size(2).build(manager).await.expect("a pool");
        let over_pool = PostgresStore::from_pool(pool).open().await.map(drop);
        let migrated = PostgresStore::builder(&*address).apply_migrations().await.map(drop);
        connection.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("dropped");
        for opened in [opened, over_pool, migrated] {
            refused(opened, &[encoding, "ENCODING 'UTF8'"]);
        }
    }
}

async fn an_address_without_a_database_is_refused(database: &Mysql) {
    let address = database.address();
    let (server, rest) = address.rsplit_once('/').expect("an address with a database");
    let query = rest.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    let address = format!("{server}/{query}");
    let remedy = ["the address names no database", "mysql://user@host:3306/name"];
    refused(MysqlStore::open(&*address).await, &remedy);
    refused(MysqlStore::builder(&*address).migrations().await, &remedy);
    refused(MysqlStore::builder(&*address).apply_migrations().await, &remedy);
}

async fn a_table_of_another_engine_is_refused(database: &Mysql) {
    MysqlStore::open(database.address()).await.expect("opened").close().await;
    database.execute("ALTER TABLE jaas_audit ENGINE = Aria").await;
    refused(MysqlStore::open(database.address()).await, &["jaas_audit (Aria)", "ENGINE = InnoDB"]);
    database.execute("ALTER TABLE jaas_audit ENGINE = InnoDB").await;
    MysqlStore::open(database.address()).await.expect("opened").close().await;
}

/// An event with a body of slightly more than so many bytes.
fn large(key: &str, bytes: usize) -> Delivery {
    joined_at(key, None, Timestamp::from_millis(1), &"x".repeat(bytes))
}

/// Sends many events at the same time, some of them larger than a packet. Those that arrive while the first one is being
/// committed are committed together.
async fn only_those_too_large_fail<S: Server>(store: &S::Store, large_bytes: usize) {
    let accepting = (0..40).map(|number| {
        let bytes = if number % 13 == 5 { large_bytes } else { 1 << 10 };
        let (store, delivery) = (store.clone(), large(&format!("{number}"), bytes));
        tokio::spawn(async move { store.accept(delivery).await })
    });
    for (number, accepting) in accepting.collect::<Vec<_>>().into_iter().enumerate() {
        match accepting.await.expect("no panic") {
            Ok(accepted) => assert_eq!((accepted, number % 13 == 5), (Accepted::New, false)),
            Err(error) => assert_eq!(number % 13, 5, "{error}"),
        }
    }
}

/// The largest packet may change after the store was opened, and a driver or a proxy may allow less.
async fn one_event_that_is_too_large_for_the_connection_does_not_fail_the_others(database: &Mysql) {
    let address = format!("{}&max_allowed_packet=1048576", database.address());
    let store = Mysql::open_at(address, Settings::default()).await.expect("opened");
    only_those_too_large_fail::<Mysql>(&store, 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_too_small_for_a_group_is_refused_and_a_body_too_large_for_it_fails_alone() {
    let Some(mut server) = OwnServer::start(Kind::Mysql, &["max-allowed-packet=1M"]).await else { return };
    let address = server.address();
    refused(MysqlStore::open(&*address).await, &["max_allowed_packet is 1048576", "16M"]);
    let manager = AsyncDieselConnectionManager::<mysql::Connection>::new(address.clone());
    let pool = mysql::Pool::builder().max_size(2).build(manager).await.expect("a pool");
    refused(MysqlStore::from_pool(pool).open().await, &["max_allowed_packet is 1048576", "16M"]);

    server.stop();
    server.start_again(&["max-allowed-packet=4M"]).await;
    let store = Mysql::open_at(address, Settings::default()).await.expect("opened");
    in_time(only_those_too_large_fail::<Mysql>(&store, 5 << 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_innodb_is_refused() {
    let Some(mut server) = OwnServer::start(Kind::Mysql, &[]).await else { return };
    server.stop();
    server.start_again(&["innodb=OFF", "default-storage-engine=Aria"]).await;
    refused(MysqlStore::open(server.address()).await, &["without InnoDB"]);
}
