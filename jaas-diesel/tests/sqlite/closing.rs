//! What the SQLite store does when the application closes it.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use jaas_core::Handled;
use jaas_core::meetings::{MeetingReader as _, TimePageRequest};
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, AttemptQuery, AuditNote, EventAdmin as _, EventQuery, EventState, EventStore as _, PageRequest,
    Retention, RowId, Step, StoreError, StoreErrorKind, TxWork,
};
use jaas_diesel::meetings::Meetings;
use jaas_diesel::sqlite::Connection;

use crate::support::{EVENTS, Folder, event, joined, now, request};

#[tokio::test]
async fn g1_closing_commits_what_is_queued() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut other = folder.connection();
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let accepting: Vec<_> = (0..50)
        .map(|number| {
            let (store, delivery) = (store.clone(), joined(&format!("k{number}"), None));
            tokio::spawn(async move { store.accept(delivery).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    other.batch_execute("COMMIT").expect("unlocked");
    closing.await.expect("closed");
    assert_eq!(folder.number(EVENTS), 50, "when close() returns, all are there");
    for accepting in accepting {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    store.close().await;
}

/// How many files of the folder this process has open, where the system says so.
fn open_files(folder: &Folder) -> Option<usize> {
    let place = folder.path().canonicalize().expect("a file");
    let opened =
        std::fs::read_dir("/proc/self/fd").ok()?.filter_map(|file| file.ok()?.path().read_link().ok());
    Some(opened.filter(|file| file.starts_with(place.parent().expect("a folder"))).count())
}

#[tokio::test]
async fn one_connection_reads_the_tables_of_meetings_again_and_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    let meetings = store.meeting_tables(&Meetings::builder().build().expect("the default"));
    let first = TimePageRequest::first();
    meetings.sittings(None, &first).await.expect("listed");
    let once = open_files(&folder);
    assert!(once.is_none_or(|files| files > 0));
    for _ in 0..3 {
        meetings.sittings(None, &first).await.expect("listed");
        assert_eq!(open_files(&folder), once);
    }
}

#[tokio::test]
async fn after_closing_every_call_returns_closed() {
    fn closed<T: std::fmt::Debug>(call: &str, answer: Result<T, StoreError>) {
        let kind = answer.map_err(|error| error.kind()).expect_err(call);
        assert_eq!(kind, StoreErrorKind::Closed, "{call}");
    }
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("k", None)).await.expect("accepted");
    let lease = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    store.stats().await.expect("counted");
    let meetings = store.meeting_tables(&Meetings::builder().build().expect("the default"));
    let first = TimePageRequest::first();
    meetings.sittings(None, &first).await.expect("listed");
    store.close().await;
    assert!(open_files(&folder).is_none_or(|files| files == 0));

    let step = Step { handler: "handler".into(), last: true, next: None };
    let work: TxWork<Connection> = Box::new(|_| Box::pin(async { Ok(Handled::Done) }));
    closed("accept", store.accept(joined("k2", None)).await);
    closed("claim", store.claim(&request(1)).await);
    closed("renew", store.renew(&[lease], now(), Duration::from_secs(15)).await);
    closed("run", store.run(lease, &step, now(), work).await);
    closed("complete", store.complete(lease, &step, &Handled::Done, now()).await);
    closed("release", store.release(&[lease], now()).await);
    let note = AuditNote::new("test", "why not");
    let matching = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    closed("replay", store.replay(RowId::new(1), &note, now()).await);
    closed("replay_matching", store.replay_matching(&matching, &note, now()).await);
    closed("discard", store.discard(RowId::new(1), &note, now()).await);
    closed("erase_session", store.erase_session(&"s".into(), &note, now()).await);
    closed("purge", store.purge(&retention, now(), 10).await);
    closed("audit", store.audit(PageRequest::first()).await);
    closed("attempts", store.attempts(&AttemptQuery::default()).await);
    closed("dead_letters", store.dead_letters().await);
    closed("ping", store.ping().await);
    closed("next_due", store.next_due(now()).await);
    closed("events", store.events(&EventQuery::default()).await);
    closed("conflicts", store.conflicts(PageRequest::first()).await);
    closed("quarantined", store.quarantined(PageRequest::first()).await);
    closed("stats", store.stats().await);
    closed("sittings", meetings.sittings(None, &first).await);

    let reopened = folder.open().await;
    assert_eq!(reopened.stats().await.expect("counted").count(EventState::Running), 1);
    reopened.release(&[lease], now()).await.expect("released");
    assert_eq!(event(&reopened, "k").await.state, EventState::Waiting);
}
