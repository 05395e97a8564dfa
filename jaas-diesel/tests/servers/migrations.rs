//! Migrations on servers: listed, applied, reverted, applied by several processes at the same time, and refused.

use jaas_core::store::{Accepted, EventAdmin as _, EventStore as _, StoreErrorKind};

use crate::servers::{self, Postgres, Server, Settings, now, on_both_servers, repeated};

on_both_servers! {
    migrations_are_listed_applied_and_applied_again
    several_processes_apply_each_migration_once
    a_reverted_migration_is_applied_again
    tables_of_a_newer_version_are_refused_and_the_version_is_named
    a_pending_database_is_refused_when_the_store_may_not_migrate
    the_applications_own_list_of_migrations_is_left_alone
}

async fn migrations_are_listed_applied_and_applied_again<S: Server>(database: &S) {
    let address = || database.address();
    let pending = S::migrations(address()).await.expect("listed");
    assert!(!pending.is_empty() && pending.iter().all(|migration| migration.applied_at.is_none()));
    let before = now();
    let applied = S::apply(address()).await.expect("applied");
    assert_eq!(applied.len(), pending.len());
    assert_eq!(S::migrations(address()).await.expect("listed"), applied);
    for (migration, pending) in applied.iter().zip(&pending) {
        assert_eq!((&migration.version, &migration.name), (&pending.version, &pending.name));
        assert!(migration.applied_at.is_some_and(|at| at >= before && at <= now()), "{migration:?}");
    }
    assert_eq!(S::apply(address()).await.expect("again"), []);
    let store = database.open_with(Settings { migrate: false, ..Settings::default() }).await;
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
    database.open().await;
    assert_eq!(database.rows("k").await, 1);
    assert_eq!(S::migrations(address()).await.expect("listed"), applied, "as they were");
}

async fn several_processes_apply_each_migration_once<S: Server>(database: &S) {
    let known = S::migrations(database.address()).await.expect("listed").len();
    let applying = (0..4).map(|_| tokio::spawn(S::apply(database.address()))).collect::<Vec<_>>();
    let opening = tokio::spawn(S::open_at(database.address(), Settings::default()));
    let mut applied = 0;
    for applying in applying {
        applied += applying.await.expect("no panic").expect("applied").len();
    }
    let store = opening.await.expect("no panic").expect("opened");
    assert!(applied == known || applied == 0, "{applied} of {known}, or the store was first");
    assert_eq!(database.ask("SELECT count(*) FROM jaas_migrations").await, known as i64);
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
}

async fn a_reverted_migration_is_applied_again<S: Server>(database: &S) {
    let applied = S::apply(database.address()).await.expect("applied");
    let mut reverted = Vec::new();
    while let Some(migration) = S::revert(database.address()).await.expect("reverted") {
        assert_eq!(migration.applied_at, None);
        reverted.push(migration.version);
    }
    reverted.reverse();
    assert_eq!(reverted, applied.iter().map(|migration| migration.version.clone()).collect::<Vec<_>>());
    let schema = if S::IS_POSTGRES { "current_schema()" } else { "DATABASE()" };
    let tables = format!(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = {schema} \
         AND table_name LIKE 'jaas%' AND table_name <> 'jaas_migrations'"
    );
    assert_eq!(database.ask(&tables).await, 0, "nothing is left but the list");
    assert_eq!(S::apply(database.address()).await.expect("again").len(), applied.len());
    let store = database.open().await;
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
}

async fn tables_of_a_newer_version_are_refused_and_the_version_is_named<S: Server>(database: &S) {
    S::apply(database.address()).await.expect("applied");
    database
        .execute("INSERT INTO jaas_migrations (version, applied_at) VALUES ('2999-01-01-000001', 1)")
        .await;
    for (call, error) in [
        ("open", S::open_at(database.address(), Settings::default()).await.map(drop)),
        (
            "check",
            S::open_at(database.address(), Settings { migrate: false, ..Settings::default() })
                .await
                .map(drop),
        ),
        ("apply", S::apply(database.address()).await.map(drop)),
        ("list", S::migrations(database.address()).await.map(drop)),
        ("revert", S::revert(database.address()).await.map(drop)),
    ] {
        let error = error.expect_err(call).to_string();
        assert!(error.contains("2999-01-01-000001") && error.contains("newer"), "{call}: {error}");
    }
    assert_eq!(database.ask("SELECT count(*) FROM jaas_events").await, 0, "nothing was reverted");
}

async fn a_pending_database_is_refused_when_the_store_may_not_migrate<S: Server>(database: &S) {
    let settings = Settings { migrate: false, ..Settings::default() };
    let error = S::open_at(database.address(), settings).await.expect_err("pending");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let error = error.to_string();
    assert!(error.contains("is pending") && error.contains("apply the migrations first"), "{error}");
    let pending = S::migrations(database.address()).await.expect("listed");
    assert!(pending.iter().all(|migration| migration.applied_at.is_none()), "nothing was applied");
}

async fn the_applications_own_list_of_migrations_is_left_alone<S: Server>(database: &S) {
    let table = "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY)";
    database.execute(table).await;
    database.execute("INSERT INTO __diesel_schema_migrations VALUES ('20260101000000')").await;
    database.open().await;
    S::revert(database.address()).await.expect("reverted");
    assert_eq!(database.ask("SELECT count(*) FROM __diesel_schema_migrations").await, 1);
}

#[tokio::test]
async fn stores_in_two_schemas_of_one_database_do_not_see_each_other() {
    let (one, other) = (crate::server_or_return!(Postgres), crate::server_or_return!(Postgres));
    let stores = [one.open().await, other.open().await];
    stores[0].accept(repeated("k")).await.expect("accepted");
    assert_eq!(stores[1].stats().await.expect("counted"), jaas_core::store::StoreStats::default());
    assert_eq!(stores[1].claim(&servers::request(10)).await.expect("claimed").len(), 0);
    assert_eq!(stores[1].accept(repeated("k")).await.expect("accepted"), Accepted::New);
    assert_eq!((one.rows("k").await, other.rows("k").await), (1, 1));
    Postgres::revert(one.address()).await.expect("reverted");
    assert_eq!(other.rows("k").await, 1);
    stores[1].ping().await.expect("its tables are there");
}
