//! What the SQLite store does when its file cannot grow any more.

use jaas_core::store::{Accepted, EventStore as _, Step, StoreErrorKind};
use jaas_core::{Delivery, Handled};
use jaas_diesel::SqliteStore;

use crate::support::{EVENTS, Folder, events_with_key, joined, joined_with, now, request};

/// An event that takes most of a page, so that few events fill a file.
fn large(key: &str) -> Delivery {
    joined_with(key, None, 0, &"x".repeat(3000))
}

/// Fills the file; returns how many events it took.
async fn filled(store: &SqliteStore) -> i64 {
    for number in 0..10_000 {
        match store.accept(large(&format!("k{number}"))).await {
            Ok(accepted) => assert_eq!(accepted, Accepted::New),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("full"), "{error}");
                return number;
            }
        }
    }
    panic!("the file was never full");
}

#[tokio::test]
async fn g1_a_full_file_takes_nothing_and_the_error_says_so() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    let taken = filled(&store).await;
    assert!(taken > 10, "{taken}");
    for key in ["a", "b"] {
        let error = store.accept(large(key)).await.expect_err("full");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(folder.number(&events_with_key(key)), 0);
    }
    let many = (0..20).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(large(&format!("many{number}"))).await })
    });
    for task in many.collect::<Vec<_>>() {
        assert!(task.await.expect("no panic").is_err());
    }
    assert_eq!(folder.number(EVENTS), taken, "all that was accepted is there, and nothing else");
}

#[tokio::test]
async fn after_room_was_made_the_same_store_takes_events_again() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    filled(&store).await;
    folder.execute("DELETE FROM jaas_events WHERE id < 10");
    assert_eq!(store.accept(large("after")).await.expect("accepted"), Accepted::New);
    assert_eq!(folder.number(&events_with_key("after")), 1);
}

#[tokio::test]
async fn a_full_file_opened_with_more_room_takes_events_again() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    let taken = filled(&store).await;
    store.close().await;
    let store = folder.builder().max_pages(180).open().await.expect("opened");
    assert_eq!(store.accept(large("after")).await.expect("accepted"), Accepted::New);
    assert_eq!(folder.number(EVENTS), taken + 1);
}

#[tokio::test]
async fn what_is_there_can_be_handled_although_the_file_is_full() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    filled(&store).await;
    let claim = store.claim(&request(1)).await.expect("claimed").remove(0);
    let step = Step { handler: "handler".into(), last: true, next: None };
    store.complete(claim.lease, &step, &Handled::Done, now()).await.expect("completed");
}

#[tokio::test]
async fn a_full_file_is_not_ready() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    store.ping().await.expect("ready");
    filled(&store).await;
    // A smaller event may still find room.
    while store.accept(joined(&format!("small{}", folder.number(EVENTS)), None)).await.is_ok() {}
    assert!(store.ping().await.is_err());
}
