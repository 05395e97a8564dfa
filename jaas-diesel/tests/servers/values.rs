//! Awkward values in a store on a server.

use std::time::Duration;

use jaas_core::store::{
    Accepted, AttemptQuery, AuditNote, EventAdmin as _, EventQuery, EventState, EventStore as _, Failure,
    PageRequest, StoreErrorKind,
};
use jaas_core::{Delivery, Timestamp};

use crate::servers::{self, Server, Settings, event, joined_at, now, on_both_servers, repeated, request};

on_both_servers! {
    keys_are_compared_byte_for_byte
    sessions_are_compared_byte_for_byte
    long_and_strange_texts_are_kept_as_far_as_they_fit
    a_worker_with_a_long_name_can_claim
    an_endpoint_with_a_long_name_is_refused
    text_with_nul_is_not_refused_forever
    bodies_are_kept_byte_for_byte
    large_bodies_are_kept
    a_row_that_was_changed_by_hand_is_reported_as_corrupt
}

/// Texts that a collation might treat as equal.
fn alike() -> Vec<String> {
    let mut texts: Vec<String> =
        ["k", "K", "k ", "k  ", " k", "k\t", "é", "e", "e\u{301}", "É", "ß", "ss", "ﬀ", "😀", "😁", "%", "_"]
            .map(str::to_owned)
            .into();
    texts.push("x".repeat(255));
    texts.push(format!("{}y", "x".repeat(254)));
    texts.push("é".repeat(127));
    texts.push("😀".repeat(63));
    texts
}

fn json(text: &str) -> String {
    text.replace('\t', "\\t")
}

async fn keys_are_compared_byte_for_byte<S: Server>(database: &S) {
    let store = database.open().await;
    let accept = |key: &str| {
        let delivery = joined_at(&json(key), None, Timestamp::from_millis(1), "");
        assert_eq!(delivery.envelope.idempotency_key.to_string(), key);
        store.accept(delivery)
    };
    for key in alike() {
        assert_eq!(accept(&key).await.expect("accepted"), Accepted::New, "{key:?}");
        assert_eq!(accept(&key).await.expect("accepted"), Accepted::Duplicate, "{key:?}");
        assert_eq!(event(&store, &key).await.idempotency_key.to_string(), key);
    }
    assert_eq!(database.ask("SELECT count(*) FROM jaas_events").await, alike().len() as i64);
    assert_eq!(store.conflicts(PageRequest::first()).await.expect("listed").items.len(), 0);
}

async fn sessions_are_compared_byte_for_byte<S: Server>(database: &S) {
    let store = database.open().await;
    for (number, session) in alike().iter().enumerate() {
        for time in 0..2 {
            let key = format!("k{number}-{time}");
            let body = format!(
                r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":"{}","timestamp":{time}}}"#,
                json(session)
            );
            let delivery = Delivery::parse("main", now(), body.into()).expect("an envelope");
            assert_eq!(store.accept(delivery).await.expect("accepted"), Accepted::New);
        }
    }
    let claims = store.claim(&request(100)).await.expect("claimed");
    assert_eq!(claims.len(), alike().len(), "one of each session");
    for session in alike() {
        let query = EventQuery { session_id: Some((&*session).into()), ..EventQuery::default() };
        assert_eq!(store.events(&query).await.expect("listed").items.len(), 2, "{session:?}");
    }
    store
        .release(&claims.iter().map(|claim| claim.lease).collect::<Vec<_>>(), now())
        .await
        .expect("released");
    let note = AuditNote::new("test", "asked for");
    for session in alike() {
        assert_eq!(
            store.erase_session(&(&*session).into(), &note, now()).await.expect("erased"),
            2,
            "{session:?}"
        );
    }
}

async fn long_and_strange_texts_are_kept_as_far_as_they_fit<S: Server>(database: &S) {
    let store = database.open().await;
    for (key, text) in [("ascii", "e".repeat(10_000)), ("emoji", "😀".repeat(10_000)), ("nul", "a\0b".into())]
    {
        let lease = servers::claimed(&store, key).await.lease;
        let failure = Failure { error: text.clone(), retry_in: None, passable: false, next: None };
        store.fail(lease, &failure, now()).await.expect("recorded");
        let stored = event(&store, key).await;
        let (state, kept) = (stored.state, stored.note.expect("a note"));
        let wanted: String = text.replace('\0', "\u{FFFD}").chars().take(8000).collect();
        assert_eq!((state, kept == wanted), (EventState::Dead, true), "{key}");
        let attempts = AttemptQuery { event: Some(stored.id), ..AttemptQuery::default() };
        let attempts = store.attempts(&attempts).await.expect("listed").items;
        assert_eq!(attempts.iter().map(|a| a.error.as_deref() == Some(&wanted)).collect::<Vec<_>>(), [true]);
        store.replay(stored.id, &AuditNote::new(&*text, &*text), now()).await.expect("replayed");
        store.discard(stored.id, &AuditNote::new(&*text, &*text), now()).await.expect("discarded");
        assert!(event(&store, key).await.note.is_some_and(|note| note == wanted));
    }
    let audit = store.audit(PageRequest::first()).await.expect("listed").items;
    assert_eq!(audit.len(), 6);
    store.dead_letters().await.expect("grouped");
}

async fn a_worker_with_a_long_name_can_claim<S: Server>(database: &S) {
    let store = database.open().await;
    for (key, name) in [("a", "w".repeat(1000)), ("b", "😀".repeat(1000)), ("c", "w\0".to_owned())] {
        store.accept(repeated(key)).await.expect("accepted");
        let mut request = request(1);
        request.worker = name.as_str().into();
        assert_eq!(store.claim(&request).await.expect("claimed").len(), 1);
        let worker = event(&store, key).await.worker.expect("recorded");
        assert_eq!(worker.chars().count(), name.chars().count().min(255));
    }
}

async fn an_endpoint_with_a_long_name_is_refused<S: Server>(database: &S) {
    let store = database.open().await;
    let body = repeated("k").body().clone();
    let delivery = Delivery::parse("e".repeat(300), now(), body.clone()).expect("an envelope");
    let error = store.accept(delivery).await.expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
    let longest = Delivery::parse("e".repeat(255), now(), body).expect("an envelope");
    assert_eq!(store.accept(longest).await.expect("accepted"), Accepted::New);
    let listed = event(&store, "k").await;
    assert_eq!(listed.endpoint.len(), 255);
    let unreadable = Delivery::parse("e".repeat(300), now(), "no envelope".into()).expect_err("no envelope");
    if store.quarantine(unreadable).await.is_ok() {
        let listed = store.quarantined(PageRequest::first()).await.expect("listed").items;
        assert_eq!(listed[0].endpoint.len(), 300, "truncated without an error");
    }
}

async fn text_with_nul_is_not_refused_forever<S: Server>(database: &S) {
    let store = database.open().await;
    for (field, number) in [("idempotencyKey", 0), ("sessionId", 1), ("eventType", 2), ("fqn", 3)] {
        let mut fields = vec![
            ("idempotencyKey", format!("k{number}")),
            ("sessionId", "s".to_owned()),
            ("eventType", "PARTICIPANT_JOINED".to_owned()),
            ("fqn", "room".to_owned()),
        ];
        for (name, value) in &mut fields {
            if *name == field {
                value.push_str("\\u0000");
            }
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let body = format!("{{{},\"timestamp\":1}}", fields.join(","));
        // A body that cannot be stored as an event goes into quarantine.
        match Delivery::parse("main", now(), body.into()) {
            Ok(delivery) => {
                store.accept(delivery).await.map(drop).unwrap_or_else(|error| panic!("{field}: {error}"));
            }
            Err(unreadable) => store.quarantine(unreadable).await.expect("kept"),
        }
    }
}

async fn bodies_are_kept_byte_for_byte<S: Server>(database: &S) {
    let store = database.open().await;
    let escapes: String = (0..=0xFFu32).map(|code| format!("\\u{code:04x}")).collect();
    let literal: String = (0x20..=0x2FFu32)
        .filter_map(char::from_u32)
        .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
        .collect();
    for (key, name) in
        [("escapes", escapes), ("literal", literal), ("sql", "'; DROP TABLE jaas_events; --".into())]
    {
        let delivery = joined_at(key, None, Timestamp::from_millis(1), &name);
        let body = delivery.body().clone();
        store.accept(delivery).await.expect("accepted");
        assert_eq!(**event(&store, key).await.body, body[..], "{key}");
        let claim = store.claim(&request(1)).await.expect("claimed").pop().expect("one");
        assert_eq!(**claim.body, body[..], "{key}");
    }
    let bytes: Vec<u8> = (0..=255).collect();
    let unreadable = Delivery::parse("main", now(), bytes.clone().into()).expect_err("no envelope");
    store.quarantine(unreadable).await.expect("kept");
    let kept = store.quarantined(PageRequest::first()).await.expect("listed").items;
    assert_eq!(**kept[0].body, bytes[..]);
}

async fn large_bodies_are_kept<S: Server>(database: &S) {
    let store = database.open_with(Settings::timeout(Duration::from_secs(10))).await;
    let name = "x".repeat(1 << 20);
    let accepting = (0..8).map(|number| {
        let (store, name) = (store.clone(), name.clone());
        tokio::spawn(async move {
            store.accept(joined_at(&format!("k{number}"), None, Timestamp::from_millis(1), &name)).await
        })
    });
    for accepting in accepting.collect::<Vec<_>>() {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    let claims = store.claim(&request(10)).await.expect("claimed");
    assert!(claims.len() == 8 && claims.iter().all(|claim| claim.body.len() > 1 << 20));
}

async fn a_row_that_was_changed_by_hand_is_reported_as_corrupt<S: Server>(database: &S) {
    let store = database.open().await;
    store.accept(repeated("k")).await.expect("accepted");
    let drop_check = if S::IS_POSTGRES {
        "ALTER TABLE jaas_events DROP CONSTRAINT jaas_events_state_check"
    } else {
        "SET check_constraint_checks = 0; UPDATE jaas_events SET state = 'lost'"
    };
    database.execute(drop_check).await;
    database.execute(if S::IS_POSTGRES { "UPDATE jaas_events SET state = 'lost'" } else { "SELECT 1" }).await;
    let error = store.events(&EventQuery::default()).await.expect_err("unknown");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("lost"), "{error}");
}
