//! Opening a store on a server: addresses, pools, TLS, and the errors when it fails.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use jaas_core::Handled;
use jaas_core::store::{Accepted, EventState, EventStore as _, StoreErrorKind};
use jaas_diesel::{MysqlStore, PostgresStore};

use crate::servers::{
    self, Mysql, Postgres, Server, Settings, event, on_both_servers, repeated, request, step, work,
};

/// The certificate of an authority that has signed none of these servers' certificates.
const ANOTHER_AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBjjCCATWgAwIBAgIUH3GtgHBlrnILNoILTRr3xnxryLswCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRQW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTI0MDUwNjMxWhgP
MjEyNjEwMzEwNTA2MzFaMBwxGjAYBgNVBAMMEUFub3RoZXIgYXV0aG9yaXR5MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEot/9iMsNFhjfGTON7nygz0TB7SGTzB5E
mSQt1sDigrdD9kA54iJenVXikzIieCEKjRlu1rq5E350AFlVvv7Ke6NTMFEwHQYD
VR0OBBYEFCtIQdNHuqk9ocCk+MZyfMxeKVuaMB8GA1UdIwQYMBaAFCtIQdNHuqk9
ocCk+MZyfMxeKVuaMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIg
HniG+VdOhM+KLmZiAmLdHJUxTz/8aFl15Oy8IiTodCcCIAGWTie4lBxfskzs12gO
lXwIVhdfO2S8wvvFA7NL2fA/
-----END CERTIFICATE-----
";

const LIMIT: Duration = Duration::from_millis(500);
const SECRET: &str = "geheim-4711";

on_both_servers! {
    a_wrong_address_fails_within_the_timeout_and_keeps_its_password
    debug_output_of_a_store_keeps_its_password
}

/// The address with this user and password, and another host and port.
fn with_secret(address: &str, place: &str) -> String {
    let (scheme, rest) = address.split_once("://").expect("a scheme");
    let rest = rest.split_once('/').map_or("", |(_, rest)| rest);
    format!("{scheme}://nobody:{SECRET}@{place}/{rest}")
}

fn place(address: &str) -> String {
    let rest = address.split_once("://").expect("a scheme").1;
    let host = rest.split('/').next().expect("a host");
    host.rsplit_once('@').map_or(host, |(_, host)| host).to_owned()
}

async fn a_wrong_address_fails_within_the_timeout_and_keeps_its_password<S: Server>(database: &S) {
    let address = database.address();
    // Accepts connections, and never sends anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = silent.local_addr().map(|address| (silent, address)).expect("bound");
    let mut wrong = vec![
        ("nobody listens", with_secret(&address, "127.0.0.1:1")),
        ("nobody answers", with_secret(&address, &silent.1.to_string())),
        ("no port", with_secret(&address, "127.0.0.1:none")),
        ("no such host", with_secret(&address, "no-such-host.invalid:1")),
        ("not an address", format!("{SECRET} is not an address")),
        ("an unknown option", format!("{}&no_such_option={SECRET}", with_secret(&address, &place(&address)))),
        (
            "a slash in the password",
            with_secret(&address, &place(&address)).replace(SECRET, &format!("{SECRET}/x")),
        ),
    ];
    if S::IS_POSTGRES {
        let no_database = with_secret(&address, &place(&address)).replace("/test?", "/no_such_database?");
        wrong.push(("no such database", no_database));
    } else {
        wrong.push(("a wrong password", with_secret(&address, &place(&address))));
    }
    for (what, address) in wrong {
        let started = Instant::now();
        let error = S::open_at(address, Settings::timeout(LIMIT)).await.map(drop).expect_err(what);
        let took = started.elapsed();
        assert!(took < LIMIT + Duration::from_secs(1), "{what}: {took:?}");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{what}: {error}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(SECRET), "{what}: {said}");
        assert!(error.to_string().len() > "cannot connect to the database: ".len(), "{what}: {error}");
        if what == "an unknown option" {
            assert!(error.to_string().contains("no_such_option"), "{error}");
        }
    }
}

async fn debug_output_of_a_store_keeps_its_password<S: Server>(database: &S) {
    let store = database.open().await;
    assert!(!format!("{store:?}").contains("://"), "{store:?}");
    let address = with_secret(&database.address(), "db.example.com");
    for shown in
        [format!("{:?}", PostgresStore::builder(&*address)), format!("{:?}", MysqlStore::builder(&*address))]
    {
        assert!(shown.contains("Builder") && !shown.contains("geheim") && !shown.contains("://"), "{shown}");
    }
}

/// The store and the application take connections from one pool.
macro_rules! shares_a_pool {
    ($name:ident, $Server:ident, $Store:ident, $module:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let database = crate::server_or_return!($Server);
            database.execute($Server::TABLES).await;
            let manager =
                AsyncDieselConnectionManager::<jaas_diesel::$module::Connection>::new(database.address());
            let pool =
                jaas_diesel::$module::Pool::builder().max_size(2).build(manager).await.expect("a pool");
            let store = $Store::from_pool(pool.clone()).open().await.expect("opened");
            let lease = servers::claimed(&store, "k").await.lease;
            let insert = work(|tx| {
                Box::pin(async move {
                    servers::insert(tx, "k").await?;
                    Ok(Handled::Done)
                })
            });
            store.run(lease, &step(), servers::now(), insert).await.expect("committed").0.expect("handled");
            {
                let mut own = pool.get().await.expect("a connection");
                let rows = $Server::number(&mut own, "SELECT count(*) FROM effects").await;
                assert_eq!(rows.expect("asked"), 1);
                let mut other = store.pool().get().await.expect("the same pool");
                other.batch_execute("INSERT INTO effects (effect) VALUES ('own')").await.expect("written");
                assert_eq!(store.accept(repeated("k2")).await.expect("not of the pool"), Accepted::New);
            }
            assert_eq!(store.claim(&request(10)).await.expect("claimed").len(), 1);
            assert_eq!(event(&store, "k").await.state, EventState::Done);
            store.close().await;
            let mut own = pool.get().await.expect("still the application's");
            own.batch_execute("INSERT INTO effects (effect) VALUES ('after')").await.expect("written");
            drop(own);
            assert_eq!((database.effects("own").await, database.effects("after").await), (1, 1));
        }
    };
}

shares_a_pool!(a_postgres_pool_is_the_applications_and_the_stores, Postgres, PostgresStore, postgres);
shares_a_pool!(a_mysql_pool_is_the_applications_and_the_stores, Mysql, MysqlStore, mysql);

/// How many connections of the store are encrypted, and how many are not.
async fn encrypted(database: &Postgres) -> (i64, i64) {
    let count = async |ssl: &str| {
        let name = database.address();
        let name = name.rsplit_once("application_name=").expect("a name").1;
        database
            .ask(&format!(
                "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a ON a.pid = s.pid \
                 WHERE a.application_name = '{name}' AND s.ssl = {ssl}"
            ))
            .await
    };
    (count("true").await, count("false").await)
}

#[tokio::test]
async fn postgres_is_encrypted_if_possible_unless_the_address_disables_it() {
    let database = crate::server_or_return!(Postgres);
    let has_tls = database.ask("SELECT (current_setting('ssl') = 'on')::INT::BIGINT").await == 1;
    for (mode, wanted) in [("", has_tls), ("&sslmode=prefer", has_tls), ("&sslmode=disable", false)] {
        let store = PostgresStore::open(format!("{}{mode}", database.address())).await.expect("opened");
        store.ping().await.expect("answers");
        let (with, without) = encrypted(&database).await;
        assert_eq!((with > 0, without > 0), (wanted, !wanted), "{mode:?}");
        drop(store);
        database.becomes("connections", 0).await;
    }
}

#[tokio::test]
async fn postgres_with_an_untrusted_certificate_is_refused() {
    let database = crate::server_or_return!(Postgres);
    let require = format!("{}&sslmode=require", database.address());
    let error = PostgresStore::open(&*require).await.expect_err("not trusted").to_string();
    assert!(error.contains("certificate") || error.contains("TLS"), "{error}");
    for mode in ["require", "prefer"] {
        let address = format!("{}&sslmode={mode}", database.address());
        let strict = PostgresStore::builder(address).root_certificates(ANOTHER_AUTHORITY);
        let error = strict.open().await.expect_err("signed by nobody").to_string();
        assert!(error.contains("certificate") || error.contains("TLS"), "{mode}: {error}");
    }
    for no_certificate in ["", "no PEM"] {
        let strict = PostgresStore::builder(&*require).root_certificates(no_certificate);
        let error = strict.open().await.expect_err("no certificate").to_string();
        assert!(error.contains("contains no certificate in PEM"), "{error}");
    }
}

#[tokio::test]
async fn postgres_with_a_certificate_of_the_given_authority_is_trusted() {
    use diesel_async::RunQueryDsl as _;
    let database = crate::server_or_return!(Postgres);
    let mut connection = database.connection().await;
    let file = "SELECT pg_read_file(current_setting('ssl_cert_file')) AS pem";
    // Only an administrator may read the certificate, and only if the server has one.
    let Ok(Pem { pem }) = diesel::sql_query(file).get_result::<Pem>(&mut connection).await else { return };
    // The certificate is self-signed, for this name.
    let address =
        database.address().replacen("127.0.0.1", "localhost", 1) + "&hostaddr=127.0.0.1&sslmode=require";
    let store = PostgresStore::builder(address).root_certificates(pem.clone()).open().await.expect("trusted");
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
    let (with, without) = encrypted(&database).await;
    assert!(with > 0 && without == 0, "{with} encrypted, {without} not");
    // The certificate must be for the name in the address.
    let address = format!("{}&sslmode=require", database.address());
    let error =
        PostgresStore::builder(address).root_certificates(pem).open().await.expect_err("another name");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[derive(diesel::QueryableByName)]
struct Pem {
    #[diesel(sql_type = diesel::sql_types::Text)]
    pem: String,
}

#[tokio::test]
async fn mysql_that_cannot_be_encrypted_is_refused_if_it_must_be() {
    let database = crate::server_or_return!(Mysql);
    let has_tls = "SELECT count(*) FROM information_schema.global_variables \
                   WHERE variable_name = 'HAVE_SSL' AND variable_value = 'YES'";
    if database.ask(has_tls).await > 0 {
        return;
    }
    let separator = if database.address().contains('?') { "&" } else { "?" };
    let address = format!("{}{separator}require_ssl=true", database.address());
    let error = MysqlStore::open(address).await.expect_err("not encrypted").to_string();
    assert!(error.to_lowercase().contains("tls") || error.to_lowercase().contains("ssl"), "{error}");
}
