use super::*;
use crate::delivery::Delivery;
use crate::handler::Handled;
use crate::store::{AuditNote, ClaimRequest, EventStore as _, Failure, MemoryStore, Step};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_795_420_800 + secs)
}

fn event(endpoint: &str, key: &str, secs: i64, more: &str) -> Delivery {
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"ROOM_CREATED","sessionId":"s","timestamp":{}{more}}}"#,
        at(secs).as_millis()
    );
    Delivery::parse(endpoint, at(secs), body.into_bytes().into()).expect("an envelope")
}

async fn status(store: &MemoryStore, key: &str, now: Timestamp) -> EventStatus {
    let mut lives = EventLife::of_key(store, None, &IdempotencyKey::new(key), now).await.expect("found");
    assert_eq!(lives.len(), 1);
    lives.remove(0).status
}

fn failure(retry_in: Option<u64>, passable: bool) -> Failure {
    let retry_in = retry_in.map(std::time::Duration::from_secs);
    Failure { error: "no\u{1b}[31m".into(), retry_in, passable, next: None }
}

#[tokio::test]
async fn the_status_says_why_an_event_waits() {
    let store = MemoryStore::new();
    for (key, secs) in [("a", 0), ("b", 1), ("c", 2)] {
        store.accept(event("main", key, secs, "")).await.expect("accepted");
    }
    let a = store.events(&EventQuery::default()).await.expect("listed").items.remove(0).id;
    assert_eq!(status(&store, "a", at(3)).await, EventStatus::Due);
    assert_eq!(status(&store, "b", at(3)).await, EventStatus::Behind { event: a, running: false });

    let claim =
        || async { store.claim(&ClaimRequest::new("w1", at(3), 1)).await.expect("claimed").remove(0) };
    let lease = claim().await.lease;
    let running = EventStatus::Running { worker: Some("w1".into()), leased_until: Some(at(18)) };
    assert_eq!(status(&store, "a", at(3)).await, running);
    assert_eq!(status(&store, "b", at(3)).await, EventStatus::Behind { event: a, running: true });

    store.fail(lease, &failure(Some(60), false), at(3)).await.expect("recorded");
    assert_eq!(status(&store, "a", at(4)).await, EventStatus::Waits { until: at(63), passable: false });
    assert_eq!(status(&store, "c", at(4)).await, EventStatus::Behind { event: a, running: false });

    let lease = store.claim(&ClaimRequest::new("w1", at(63), 1)).await.expect("claimed").remove(0).lease;
    store.fail(lease, &failure(Some(60), true), at(63)).await.expect("recorded");
    assert_eq!(status(&store, "a", at(64)).await, EventStatus::Waits { until: at(123), passable: true });
    assert_eq!(status(&store, "b", at(64)).await, EventStatus::Due);

    let lease = store.claim(&ClaimRequest::new("w1", at(64), 1)).await.expect("claimed").remove(0).lease;
    let last = Step { handler: "h".into(), last: true, next: None };
    store.complete(lease, &last, &Handled::Done, at(65)).await.expect("completed");
    let done = EventStatus::Settled { state: EventState::Done, at: Some(at(65)), note: None };
    assert_eq!(status(&store, "b", at(66)).await, done);
}

#[tokio::test]
async fn the_report_has_the_whole_life_of_an_event_and_no_body() {
    let store = MemoryStore::new();
    let secret = r#","data":{"name":"Ada Example"}"#;
    store.accept(event("main", "k", 0, secret)).await.expect("accepted");
    store.accept(event("main", "k", 1, secret)).await.expect("a conflict");
    store.accept(event("other", "k", 0, secret)).await.expect("accepted");
    let claims = store.claim(&ClaimRequest::new("w1", at(1), 1)).await.expect("claimed");
    store.fail(claims[0].lease, &failure(None, false), at(2)).await.expect("recorded");
    let id = claims[0].lease.event;
    store.reveal(id, &AuditNote::new("operator", "why\nnot"), at(3)).await.expect("recorded");

    let key = IdempotencyKey::new("k");
    let lives = EventLife::of_key(&store, None, &key, at(4)).await.expect("found");
    assert_eq!(lives.len(), 2, "one for each endpoint");
    let of_main = EventLife::of_key(&store, Some("main".into()), &key, at(4)).await.expect("found").remove(0);
    assert_eq!(EventLife::of(&store, id, at(4)).await.expect("found"), Some(of_main.clone()));
    assert_eq!(EventLife::of(&store, RowId::new(1000), at(4)).await.expect("looked for"), None);

    let text = of_main.to_string();
    let json = serde_json::to_value(&of_main).expect("serialized");
    for (what, shown) in [
        ("the error", r"failed, claim 1, worker w1: no\u{1b}[31m"),
        ("the audit", r"revealed by operator: why\nnot"),
        ("the conflict", "conflict 2, "),
        ("the state", "dead, settled at "),
    ] {
        assert!(text.contains(shown), "{what}: {text}");
    }
    assert!(!text.contains("Ada") && !json.to_string().contains("Ada"), "no body");
    assert_eq!(json["state"], "dead");
    assert_eq!(json["next"]["status"], "settled");
    assert_eq!(json["conflicts"][0]["seen"], 1);
    assert_eq!(json["attempts"][0]["outcome"], "failed");
    assert_eq!(json["audit"][0]["by"], "operator");
}
