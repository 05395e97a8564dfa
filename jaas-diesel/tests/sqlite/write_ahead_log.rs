//! The write-ahead log stays short, because SQLite looks for a page in the whole log.

use std::ops::Range;

use diesel::connection::SimpleConnection as _;
use diesel_async::SimpleAsyncConnection as _;
use jaas_core::store::EventStore as _;
use jaas_core::{Handled, Handlers};
use jaas_diesel::SqliteStore;

use crate::support::{Folder, in_transaction, is_done, joined, worker};

/// What a handler writes for each event, in bytes.
const BLOB: usize = 200_000;
/// 64 MiB, where the log restarts, and as much again for what is committed until then.
const SHORT: u64 = 2 * 64 * 1024 * 1024;

/// Accepts events and handles them, one commit after the other.
async fn handle(store: &SqliteStore, numbers: Range<usize>) {
    let handler = in_transaction(|tx, _| {
        Box::pin(async move {
            tx.batch_execute(&format!("INSERT INTO blobs VALUES (zeroblob({BLOB}))")).await?;
            Ok(Handled::Done)
        })
    });
    let worker =
        worker(store, Handlers::new().transactional("handler", handler)).build().expect("built").spawn();
    for number in numbers.clone() {
        store.accept(joined(&format!("k{number}"), Some(&format!("s{number}")))).await.expect("accepted");
    }
    for number in numbers {
        is_done(store, &format!("k{number}")).await;
    }
    worker.stop(std::time::Duration::from_secs(5)).await;
}

fn length(folder: &Folder) -> u64 {
    let mut name = folder.path().into_os_string();
    name.push("-wal");
    std::fs::metadata(name).expect("a log").len()
}

async fn with_blobs() -> (Folder, SqliteStore) {
    let folder = Folder::new();
    let store = folder.open().await;
    folder.execute("CREATE TABLE blobs (bytes BLOB)");
    (folder, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_while_one_commit_follows_the_other() {
    let (folder, store) = with_blobs().await;
    handle(&store, 0..1500).await;
    assert_eq!(folder.number("SELECT count(*) FROM blobs"), 1500);
    let length = length(&folder);
    assert!(length < SHORT, "{length} bytes after {} were written", 1500 * BLOB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_somebody_has_read_for_a_long_time_the_log_is_short_again() {
    let (folder, store) = with_blobs().await;
    let mut reader = folder.connection();
    reader.batch_execute("BEGIN; SELECT count(*) FROM blobs").expect("reads");
    handle(&store, 0..1000).await;
    let long = length(&folder);
    assert!(long > SHORT, "{long} bytes: what the reader may still need is kept");
    reader.batch_execute("COMMIT").expect("ended");
    handle(&store, 1000..2000).await;
    let short = length(&folder);
    assert!(short <= SHORT, "{short} bytes, {long} before");
}
