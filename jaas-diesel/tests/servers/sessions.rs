//! The store sets what its sessions rely on, independently of the defaults of the server and of a pool.

use std::time::{Duration, Instant};

use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection as _, AsyncMysqlConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use jaas_core::store::{Accepted, EventStore as _, StoreErrorKind};
use jaas_diesel::{MysqlStore, PostgresStore};

use crate::servers::{Mysql, Postgres, Server as _, in_time, repeated};

/// A pool that sets its sessions up with this statement.
async fn pool_with(url: String, setup: &'static str) -> Pool<AsyncMysqlConnection> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |url| {
        async move {
            let mut connection = AsyncMysqlConnection::establish(url).await?;
            let set_up = connection.batch_execute(setup).await;
            set_up.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    Pool::builder().max_size(2).build(manager).await.expect("a pool")
}

#[tokio::test]
async fn a_pool_whose_sessions_do_not_fit_is_refused_with_the_reason() {
    let database = crate::server_or_return!(Mysql);
    in_time(async {
        for (setup, reason) in [
            ("SET SESSION autocommit = 0", "autocommit is off"),
            ("SET SESSION sql_mode = 'EMPTY_STRING_IS_NULL'", "EMPTY_STRING_IS_NULL"),
            ("SET SESSION sql_mode = 'ORACLE'", "ORACLE"),
            ("SET SESSION completion_type = 'CHAIN'", "completion_type"),
            ("SET SESSION sql_select_limit = 1", "sql_select_limit"),
            ("SET SESSION sql_safe_updates = 1", "sql_safe_updates"),
            ("SET SESSION unique_checks = 0", "unique_checks"),
        ] {
            let pool = pool_with(database.address(), setup).await;
            let error = MysqlStore::from_pool(pool).open().await.map(drop).expect_err(setup);
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.to_string().contains("let the store open its own pool"), "{error}");
        }
        let pool = pool_with(database.address(), "SET SESSION sql_mode = 'ANSI_QUOTES'").await;
        let store = MysqlStore::from_pool(pool).open().await.expect("they fit");
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stricter_isolation_by_default_refuses_no_event() {
    let database = crate::server_or_return!(Postgres);
    in_time(async {
        let strict = format!("{}%20-c%20default_transaction_isolation=serializable", database.address());
        let stores = [
            PostgresStore::open(strict.clone()).await.expect("opened"),
            PostgresStore::open(strict).await.expect("opened"),
        ];
        // Copies of the same events by two processes at the same time.
        let accepts = (0..200).map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { store.accept(repeated(&format!("k{}", number / 4))).await })
        });
        let mut new = 0;
        for accept in accepts.collect::<Vec<_>>() {
            new += usize::from(accept.await.expect("no panic").expect("accepted") == Accepted::New);
        }
        assert_eq!(new, 50);
        for store in stores {
            store.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_became_read_only_is_left_for_one_that_can_be_written() {
    let database = crate::server_or_return!(Postgres);
    in_time(async {
        let name = format!("jaas_read_only_{}", std::process::id());
        database.execute(&format!("CREATE DATABASE {name}")).await;
        let address = database.address();
        let (before, _) = address.split_once('?').expect("options");
        let (server, _) = before.rsplit_once('/').expect("a database");
        let store = PostgresStore::open(format!("{server}/{name}")).await.expect("opened");
        assert_eq!(store.accept(repeated("before")).await.expect("accepted"), Accepted::New);
        // As after a switch-over: new connections are read-only, and existing ones are closed.
        database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        let end =
            format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'");
        database.ask(&end).await;
        let error = store.accept(repeated("meanwhile")).await.expect_err("it can only be read");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        store.ping().await.expect_err("not ready");
        // Another server is behind the address now. Connections to the old one would stay read-only.
        database.execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
        let mended = Instant::now();
        while store.accept(repeated("after")).await.is_err() {
            assert!(mended.elapsed() < Duration::from_secs(2), "the connections to the old server are kept");
        }
        store.ping().await.expect("ready");
        store.close().await;
        database.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    })
    .await;
}
