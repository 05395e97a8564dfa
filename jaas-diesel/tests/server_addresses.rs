//! Events go to the server that the address names, and to no other.
#![cfg(all(feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[path = "support/own_servers.rs"]
mod own_servers;
#[path = "support/servers.rs"]
mod servers;

use diesel_async::AsyncConnection as _;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use jaas_core::store::{Accepted, EventStore as _};
use jaas_diesel::{MysqlStore, mysql};

use self::own_servers::{Kind, OwnServer};
use self::servers::{Mysql, Server as _, in_time, repeated};

const EVENTS: &str = "SELECT count(*) FROM jaas_events";
const TABLES: &str = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'app'";
const CONNECTIONS: &str =
    "SELECT count(*) FROM information_schema.processlist WHERE db = 'app' AND id <> CONNECTION_ID()";

async fn ask(server: &OwnServer, sql: &str) -> i64 {
    let address = format!("{}?prefer_socket=false", server.address());
    let mut connection = mysql::Connection::establish(&address).await.expect("connected");
    Mysql::number(&mut connection, sql).await.expect(sql)
}

async fn port(pool: &mysql::Pool) -> i64 {
    let mut connection = pool.get().await.expect("connected");
    Mysql::number(&mut connection, "SELECT @@port").await.expect("a port")
}

fn pool_to(address: String) -> mysql::Pool {
    mysql::Pool::builder().max_size(2).build_unchecked(AsyncDieselConnectionManager::new(address))
}

#[tokio::test]
async fn nothing_goes_through_a_socket_of_this_machine_to_another_server() {
    let (named, other) = tokio::join!(OwnServer::start(Kind::Mysql, &[]), OwnServer::start(Kind::Mysql, &[]));
    let (Some(named), Some(other)) = (named, other) else { return };
    in_time(async {
        // As behind a tunnel or a published port of a container: the path that the server says is its socket's is, here, that
        // of another one.
        std::fs::remove_file(named.socket()).expect("removed");
        std::os::unix::fs::symlink(other.socket(), named.socket()).expect("linked");
        let (address, port_of_named) = (named.address(), i64::from(named.port()));
        // By itself, the driver goes there.
        assert_eq!(port(&pool_to(address.clone())).await, i64::from(other.port()));

        let migrated = MysqlStore::builder(address.clone()).apply_migrations().await.expect("migrated");
        assert!(!migrated.is_empty());
        let store = MysqlStore::open(address.clone()).await.expect("opened");
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
        assert_eq!(port(store.pool()).await, port_of_named);
        assert_eq!(ask(&named, EVENTS).await, 1);
        assert_eq!(ask(&other, TABLES).await, 0, "tables of the store in a server that nobody named");
        assert_eq!(ask(&other, CONNECTIONS).await, 0);
        store.close().await;

        // A pool of the application's, as the documentation says.
        let pool = pool_to(format!("{address}?prefer_socket=false"));
        let store = MysqlStore::from_pool(pool).open().await.expect("opened");
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::Duplicate);
        assert_eq!(ask(&other, TABLES).await, 0);
        store.close().await;
    })
    .await;
}
