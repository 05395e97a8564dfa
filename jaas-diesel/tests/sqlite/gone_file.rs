//! What the SQLite store does when its file is deleted, moved or replaced under it.

use std::path::{Path, PathBuf};

use jaas_core::store::{Accepted, EventAdmin as _, EventStore as _, Step, StoreErrorKind, TxWork};
use jaas_core::{Delivery, Unreadable};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;

use crate::lines::Lines;
use crate::support::{Folder, events_with_key, joined, now, request};

fn unreadable() -> Unreadable {
    Delivery::parse("main", now(), "not JSON".into()).expect_err("unreadable")
}

/// What happens to a file while a store has it open.
#[derive(Debug, Clone, Copy)]
enum Gone {
    Deleted,
    Moved,
    Replaced,
    LogDeleted,
    FolderMoved,
}

impl Gone {
    const ALL: [Self; 5] = [Self::Deleted, Self::Moved, Self::Replaced, Self::LogDeleted, Self::FolderMoved];

    fn happens_to(self, database: &Path) {
        let done = match self {
            Self::Deleted => std::fs::remove_file(database),
            Self::Moved => std::fs::rename(database, beside(database, "-away")),
            Self::Replaced => std::fs::copy(database, beside(database, "-copy"))
                .and_then(|_| std::fs::rename(beside(database, "-copy"), database)),
            Self::LogDeleted => std::fs::remove_file(beside(database, "-wal")),
            Self::FolderMoved => {
                let folder = database.parent().expect("a folder");
                std::fs::rename(folder, beside(folder, "-away"))
            }
        };
        done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

#[tokio::test]
async fn g1_nothing_is_acknowledged_into_a_file_that_is_gone() {
    for gone in Gone::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).expect("a folder");
        let path = inner.join("jaas.sqlite");
        let store = SqliteStore::open(&path).await.expect("opened");
        store.accept(joined("before", None)).await.expect("accepted");
        let claim = store.claim(&request(1)).await.expect("claimed").remove(0);

        gone.happens_to(&path);
        let was_there = path.exists();
        let name = path.display().to_string();
        for _ in 0..2 {
            let error = store.accept(joined("k", None)).await.expect_err("gone");
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{gone:?}: {error}");
            assert!(error.to_string().contains(&name), "{gone:?} names the file: {error}");
            assert!(error.to_string().contains("start"), "{gone:?} names the remedy: {error}");
            assert!(store.quarantine(unreadable()).await.is_err(), "{gone:?}");
            assert!(store.ping().await.is_err(), "{gone:?}");
        }
        let many = (0..20).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(joined(&format!("many{number}"), None)).await })
        });
        for task in many.collect::<Vec<_>>() {
            assert!(task.await.expect("no panic").is_err(), "{gone:?}");
        }
        // No handler is run whose effects would be lost.
        let work: TxWork<Connection> =
            Box::new(|_| Box::pin(async { panic!("it was run on a file that is gone") }));
        let step = Step { handler: "handler".into(), last: true, next: None };
        let error = store.run(claim.lease, &step, now(), work).await.expect_err("gone");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{gone:?}: {error}");
        // The first query opens the reading connection.
        assert!(store.stats().await.is_err() || matches!(gone, Gone::LogDeleted), "{gone:?}");
        assert_eq!(path.exists(), was_there, "{gone:?}: no empty file is put where the database was");
    }
}

#[tokio::test]
async fn the_same_file_put_back_is_written_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("before", None)).await.expect("accepted");
    let away = beside(&folder.path(), "-away");
    std::fs::rename(folder.path(), &away).expect("moved");
    store.accept(joined("meanwhile", None)).await.expect_err("gone");
    assert!(store.ping().await.is_err());
    std::fs::rename(&away, folder.path()).expect("moved");
    store.ping().await.expect("ready again");
    assert_eq!(store.accept(joined("after", None)).await.expect("accepted"), Accepted::New);
    store.close().await;
    for key in ["before", "after"] {
        assert_eq!(folder.number(&events_with_key(key)), 1);
    }
}

#[tokio::test]
async fn a_database_behind_a_link_is_gone_when_the_link_leads_elsewhere() {
    let folder = Folder::new();
    let link = beside(&folder.path(), "-link");
    folder.open().await.close().await;
    std::os::unix::fs::symlink(folder.path(), &link).expect("linked");
    let store = SqliteStore::open(&link).await.expect("opened");
    store.accept(joined("before", None)).await.expect("accepted");
    std::fs::remove_file(&link).expect("removed");
    let other = beside(&folder.path(), "-other");
    std::fs::write(&other, "").expect("written");
    std::os::unix::fs::symlink(&other, &link).expect("linked");
    store.accept(joined("k", None)).await.expect_err("another file is found at the next start");
    assert!(store.ping().await.is_err());
}

#[tokio::test]
async fn a_file_that_is_gone_is_logged_once_and_when_it_is_back() {
    let lines = Lines::default();
    // The writing thread logs it, so the subscriber must be global.
    tracing::subscriber::set_global_default(lines.subscriber()).expect("the only one of this process");
    let folder = Folder::new();
    let store = folder.open().await;
    let away = beside(&folder.path(), "-away");
    for _ in 0..2 {
        std::fs::rename(folder.path(), &away).expect("moved");
        for _ in 0..3 {
            store.ping().await.expect_err("gone");
        }
        std::fs::rename(&away, folder.path()).expect("moved");
        store.ping().await.expect("ready again");
    }
    let name = folder.path().display().to_string();
    let lines = lines.of("jaas::store");
    let logged: Vec<_> = lines.iter().filter(|line| line.contains(&name)).collect();
    let levels: Vec<_> = logged.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(levels, ["ERROR", "INFO", "ERROR", "INFO"], "{logged:?}");
    assert!(logged[0].contains("put the same file back"), "the remedy: {}", logged[0]);
}
