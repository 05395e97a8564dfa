//! Events go to the server in the address, and to no other server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use diesel_async::AsyncConnection as _;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use jaas_core::store::{Accepted, EventStore as _};
use jaas_diesel::{MysqlStore, PostgresStore, mysql, postgres};

use crate::own_servers::{CERTIFICATE, Kind, OwnServer};
use crate::servers::{Mysql, Postgres, Server as _, Settings, in_time, repeated, works_again};

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
        // As behind a tunnel or a published port of a container: on this machine, the path of the server's socket belongs to
        // another server.
        std::fs::remove_file(named.socket()).expect("removed");
        std::os::unix::fs::symlink(other.socket(), named.socket()).expect("linked");
        let (address, port_of_named) = (named.address(), i64::from(named.port()));
        // By default, the driver connects to that socket.
        assert_eq!(port(&pool_to(address.clone())).await, i64::from(other.port()));

        let migrated = MysqlStore::builder(address.clone()).apply_migrations().await.expect("migrated");
        assert!(!migrated.is_empty());
        let store = MysqlStore::open(address.clone()).await.expect("opened");
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
        assert_eq!(port(store.pool()).await, port_of_named);
        assert_eq!(ask(&named, EVENTS).await, 1);
        assert_eq!(ask(&other, TABLES).await, 0, "no table in a server that is not in the address");
        // The other server takes its time to end what was asked with; a connection of the store's would stay.
        let asked = Instant::now();
        while ask(&other, CONNECTIONS).await != 0 {
            assert!(asked.elapsed() < Duration::from_secs(10), "the store is connected to the other server");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        store.close().await;

        // The application's pool, set up as the documentation says.
        let pool = pool_to(format!("{address}?prefer_socket=false"));
        let store = MysqlStore::from_pool(pool).open().await.expect("opened");
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::Duplicate);
        assert_eq!(ask(&other, TABLES).await, 0);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn of_several_hosts_the_one_that_can_be_written_is_used_and_after_a_switch_over_the_other() {
    // Once the other host can be written, the store accepts events within this time.
    const BACK: Duration = Duration::from_secs(2);
    let Some(mut primary) = OwnServer::start(Kind::Postgres, &["ssl=on"]).await else { return };
    in_time(async {
        let standby = primary.start_standby(&["ssl=on"]).await;
        // The certificate is for this name. The standby comes first.
        let hosts = format!("localhost:{},localhost:{}", standby.port(), primary.port());
        let address = format!(
            "postgres://postgres@{hosts}/app?hostaddr=127.0.0.1,127.0.0.1&sslmode=require&target_session_attrs=read-write"
        );
        let builder = PostgresStore::builder(address).root_certificates(CERTIFICATE);
        let store = builder.open().await.expect("opened");
        assert_eq!(store.accept(repeated("before")).await.expect("accepted"), Accepted::New);
        Postgres::fill_pool(&store, Settings::default().pool_size).await;
        let copied = Instant::now();
        while events_in(&standby).await != Some(1) {
            assert!(copied.elapsed() < Duration::from_secs(10), "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        primary.stop();
        store.accept(repeated("meanwhile")).await.expect_err("nobody can be written to");
        standby.execute("SELECT pg_promote()").await;
        let promoted = Instant::now();
        while store.accept(repeated("after")).await.is_err() {
            assert!(promoted.elapsed() < BACK, "not used after {:?}", promoted.elapsed());
        }
        works_again(&store, "again", BACK.saturating_sub(promoted.elapsed())).await;
        let again = store.accept(repeated("before")).await.expect("accepted");
        assert_eq!(again, Accepted::Duplicate, "the standby had it");
        store.close().await;
    })
    .await;
}

async fn events_in(server: &OwnServer) -> Option<i64> {
    let mut connection = postgres::Connection::establish(&server.address()).await.ok()?;
    Postgres::number(&mut connection, EVENTS).await.ok()
}

#[tokio::test]
async fn a_host_that_does_not_respond_leaves_time_for_the_next() {
    let database = crate::server_or_return!(Postgres);
    in_time(async {
        let (silent, _held) = silent_address();
        let (scheme, rest) = database.address().split_once("://").map(own).expect("a scheme");
        let host = rest.split_once('@').map_or(0, |(user, _)| user.len() + 1);
        let (user, rest) = rest.split_at(host);
        let address = format!("{scheme}://{user}{silent},{rest}");
        let started = Instant::now();
        let limit = Duration::from_secs(2);
        let store = PostgresStore::builder(address).timeout(limit).open().await.expect("opened");
        assert!(started.elapsed() > limit / 2, "the first was tried");
        store.close().await;
    })
    .await;
}

fn own((scheme, rest): (&str, &str)) -> (String, String) {
    (scheme.to_owned(), rest.to_owned())
}

/// An address where connections are neither accepted nor refused, as long as the streams are held.
fn silent_address() -> (SocketAddr, (tokio::net::TcpListener, Vec<std::net::TcpStream>)) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("listens");
    let address = listener.local_addr().expect("bound");
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let waiting = std::iter::from_fn(connect).take(64).collect();
    (address, (listener, waiting))
}
