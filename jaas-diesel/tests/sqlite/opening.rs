//! Which files the SQLite store opens, and its errors for other files.

use std::sync::Barrier;

use jaas_core::store::{Accepted, EventAdmin as _, EventState, EventStore as _, StoreErrorKind};
use jaas_diesel::SqliteStore;

use crate::support::{EVENTS, Folder, joined, request};

#[tokio::test]
async fn a_file_that_can_only_be_read_takes_nothing_and_is_not_ready() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("before", None)).await.expect("accepted");
    store.close().await;
    let read_only = format!("file:{}?mode=ro", folder.path().display());
    // The store may refuse it when it opens or later, but an event never counts as stored.
    if let Ok(store) = SqliteStore::open(&read_only).await {
        let error = store.accept(joined("k", None)).await.expect_err("read-only");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(store.ping().await.is_err());
        assert!(store.claim(&request(1)).await.is_err());
        assert_eq!(store.stats().await.expect("readable").count(EventState::Waiting), 1);
    }
    assert_eq!(folder.number(EVENTS), 1);
}

#[test]
fn stores_that_open_an_empty_file_at_the_same_time_all_succeed() {
    for round in 0..10 {
        let folder = Folder::new();
        let together = Barrier::new(8);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (together, folder) = (&together, &folder);
                    scope.spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                        runtime.expect("a runtime").block_on(async {
                            together.wait();
                            let store = folder.builder().open().await?;
                            store.accept(joined(&format!("k{number}"), None)).await
                        })
                    })
                })
                .collect();
            for thread in threads {
                let opened = thread.join().expect("no panic");
                assert_eq!(opened.map_err(|error| error.to_string()), Ok(Accepted::New), "in round {round}");
            }
        });
        assert_eq!(folder.number(EVENTS), 8);
    }
}

#[tokio::test]
async fn a_database_in_memory_is_refused_with_the_reason() {
    for name in [":memory:", "file::memory:?cache=shared", "file:events?mode=memory", ""] {
        let error = SqliteStore::open(name).await.expect_err(name).to_string();
        assert!(
            error.contains("keeps nothing across restarts") && error.contains(&format!("{name:?}")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_temporary_database_is_refused_too() {
    // SQLite deletes these when they are closed: https://sqlite.org/inmemorydb.html
    for name in ["file:", "file:?cache=private", "sqlite://", "file:/events?vfs=memdb"] {
        assert!(SqliteStore::open(name).await.is_err(), "{name:?} would keep nothing");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let text = folder.path().with_file_name("notes.txt");
    std::fs::write(&text, "not a database, although long enough to be one at a glance. ".repeat(20))
        .expect("written");
    let missing = folder.path().with_file_name("missing").join("jaas.sqlite");
    let directory = folder.path().with_file_name("folder");
    std::fs::create_dir(&directory).expect("created");
    for path in [&text, &missing, &directory] {
        let error = SqliteStore::open(path).await.expect_err("no database");
        assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(std::fs::read_to_string(&text).expect("readable").starts_with("not a database"), "left alone");
}
