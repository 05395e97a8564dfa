//! The store leaves a server that became read-only for a server that can be written.

use std::fmt::Debug;
use std::io::Write as _;
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::store::{EventStore as _, Lease, StoreError, StoreErrorKind};
use jaas_core::{Handled, HandlerResult};

use crate::own_servers::{Kind, OwnServer};
use crate::proxy::Proxy;
use crate::servers::{
    self, Mysql, Postgres, Server, Settings, in_time, insert, repeated, request, step, work, works_again,
};

/// Once a server that can be written is behind the address, the store works within this time.
const BACK: Duration = Duration::from_secs(2);

/// How a server becomes read-only, its error message then, and how it becomes writable again.
struct Way {
    statement: &'static str,
    says: &'static str,
    undone: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_became_read_only_is_left() {
    let ways = [Way {
        statement: "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()",
        says: "in a read-only transaction",
        undone: "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()",
    }];
    are_left::<Postgres>(Kind::Postgres, &[], &ways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_became_read_only_is_left() {
    let ways = [
        Way {
            statement: "SET GLOBAL read_only = 1",
            says: "--read-only option",
            undone: "SET GLOBAL read_only = 0",
        },
        // Only later connections are affected.
        Way {
            statement: "SET GLOBAL tx_read_only = 1; KILL USER app",
            says: "READ ONLY transaction",
            undone: "SET GLOBAL tx_read_only = 0",
        },
    ];
    // The texts of its errors identify them, so the store sets their language for its own connections.
    are_left::<Mysql>(Kind::Mysql, &["lc-messages=de_DE"], &ways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_has_left_its_cluster_is_left() {
    const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";
    if !std::path::Path::new(GALERA).exists() {
        let _ =
            writeln!(std::io::stderr(), "NOT TESTED here: a node of a cluster, because {GALERA} is missing");
        return;
    }
    let provider = format!("wsrep-provider={GALERA}");
    let cluster = ["wsrep-on=ON", "wsrep-cluster-address=gcomm://", "binlog-format=ROW", &provider];
    // Its own cluster, which no other server joins.
    let alone = "wsrep-provider-options=gcache.size=8M;gmcast.listen_addr=tcp://127.0.0.1:0";
    let ways = [Way {
        statement: "SET GLOBAL wsrep_reject_queries = ALL",
        says: "WSREP has not yet prepared node",
        undone: "SET GLOBAL wsrep_reject_queries = NONE",
    }];
    are_left::<Mysql>(Kind::Mysql, &[&cluster[..], &[alone]].concat(), &ways).await;
}

/// Switches the servers over: the first becomes read-only, and connections to it stay. Then the second is behind the address.
async fn are_left<S: Server>(kind: Kind, settings: &[&str], ways: &[Way]) {
    let (old, new) = tokio::join!(OwnServer::start(kind, settings), OwnServer::start(kind, &[]));
    let (Some(old), Some(new)) = (old, new) else { return };
    in_time(async {
        for server in [&old, &new] {
            // A superuser may write even to a read-only server.
            server.execute_each(CREATE_USER[usize::from(S::IS_POSTGRES)]).await;
            let mut connection = S::Connection::establish(&address(server)).await.expect("connected");
            connection.batch_execute(S::TABLES).await.expect("created");
            S::apply(address(server)).await.expect("migrated");
        }
        for (number, way) in ways.iter().enumerate() {
            let proxy = Proxy::start(&address(&old)).await;
            let through = proxy.address(&address(&old));
            let store = S::open_at(through, Settings::default()).await.expect("opened");
            let key = |name: &str| format!("{name}-{number}");
            let before = servers::claimed(&store, &key("before")).await.lease;
            run::<S>(&store, before, &key("before")).await.expect("run").expect("handled");
            let claimed = servers::claimed(&store, &key("claimed")).await.lease;

            old.execute_each(way.statement).await;
            S::fill_pool(&store, Settings::default().pool_size).await;
            says(way, store.accept(repeated(&key("meanwhile"))).await, "accept");
            says(way, store.ping().await, "ping");
            says(way, store.claim(&request(1)).await, "claim");
            S::fill_pool(&store, Settings::default().pool_size).await;
            says(way, run::<S>(&store, claimed, &key("meanwhile")).await, "run");
            let (handled, now) = (Handled::Done, servers::now());
            says(way, store.complete(claimed, &step(), &handled, now).await, "complete");

            // The pool has idle connections to the old server.
            S::fill_pool(&store, Settings::default().pool_size).await;
            proxy.set_server(&address(&new));
            let switched = Instant::now();
            let after = loop {
                match claim_new(&store, &key("after")).await {
                    Ok(lease) => break lease,
                    Err(error) => assert!(switched.elapsed() < BACK, "{error}"),
                }
            };
            while let Err(error) = run::<S>(&store, after, &key("after")).await.map(Result::unwrap) {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                assert!(switched.elapsed() < BACK, "{error}");
            }
            works_again(&store, &key("again"), BACK.saturating_sub(switched.elapsed())).await;
            let mut connection = S::Connection::establish(&address(&new)).await.expect("connected");
            let effects = format!("SELECT count(*) FROM effects WHERE effect = '{}'", key("after"));
            assert_eq!(S::number(&mut connection, &effects).await.expect("counted"), 1);
            S::close(&store).await;
            old.execute_each(way.undone).await;
        }
    })
    .await;
}

const CREATE_USER: [&str; 2] = [
    "CREATE USER app@'%'; GRANT ALL ON app.* TO app@'%'",
    "CREATE USER app; ALTER DATABASE app OWNER TO app; GRANT pg_monitor TO app",
];

fn address(server: &OwnServer) -> String {
    let address = server.address().replacen("root@", "app@", 1).replacen("//postgres@", "//app@", 1);
    // The proxy does not understand TLS.
    if address.starts_with("postgres") { address + "?sslmode=disable" } else { address }
}

#[track_caller]
fn says<T: Debug>(way: &Way, result: Result<T, StoreError>, operation: &str) {
    let error = result.expect_err(operation);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{operation}: {error}");
    let said = error.to_string();
    let refused = said.contains(way.says) || said.contains("the server is read-only");
    assert!(refused, "{operation}: {said}");
}

/// Runs a handler that writes.
async fn run<S: Server>(store: &S::Store, lease: Lease, key: &str) -> Result<HandlerResult, StoreError> {
    let key = key.to_owned();
    let insert = work(move |tx: &mut S::Connection| {
        Box::pin(async move {
            insert(tx, &key).await?;
            Ok(Handled::Done)
        })
    });
    Ok(store.run(lease, &step(), servers::now(), insert).await?.0)
}

async fn claim_new<S: jaas_core::store::EventStore>(store: &S, key: &str) -> Result<Lease, StoreError> {
    store.accept(repeated(key)).await?;
    Ok(store.claim(&request(1)).await?.pop().expect("one was waiting").lease)
}
