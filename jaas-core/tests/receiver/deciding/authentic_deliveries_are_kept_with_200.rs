//! Authentic deliveries are kept with 200.

use super::*;

#[tokio::test]
async fn a_first_delivery_is_stored_byte_for_byte() {
    let (receiver, store) = inbox();
    let body = event("k-1");
    let reply = deliver(&receiver, body.clone()).await;
    assert_eq!((reply.status(), reply), (200, received(Disposition::Stored)));

    let stored = store.events(&EventQuery::default()).await.expect("open").items;
    let [row] = &stored[..] else { panic!("one row, not {}", stored.len()) };
    assert_eq!((&*row.endpoint, &row.idempotency_key.as_str()), ("main", &"k-1"));
    assert_eq!((row.state, row.received_at), (EventState::Waiting, NOW));
    assert_eq!(row.body, body);
}

#[tokio::test]
async fn every_fixture_and_every_odd_case_is_stored() {
    let (receiver, store) = inbox();
    let bodies = || fixture::EVENTS.iter().chain(fixture::CASES);
    for fixture in bodies() {
        let reply = deliver(&receiver, fixture.body).await;
        assert_eq!(reply, received(Disposition::Stored), "{}", fixture.name);
    }
    assert_eq!(waiting(&store).await, bodies().count() as u64);
}

#[tokio::test]
async fn a_second_copy_is_a_duplicate_and_makes_no_second_row() {
    let (receiver, store) = inbox();
    deliver(&receiver, event("k-1")).await;
    let before = stats(&store).await;
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (200, received(Disposition::Duplicate)));
    assert_eq!(stats(&store).await, before);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_conflict_and_is_listed() {
    let (receiver, store) = inbox();
    deliver(&receiver, event("k-1")).await;
    for _ in 0..2 {
        let reply = deliver(&receiver, another_body("k-1")).await;
        assert_eq!((reply.status(), reply), (200, received(Disposition::Conflict)));
    }

    let events = store.events(&EventQuery::default()).await.expect("open").items;
    assert_eq!((events.len(), &*events[0].body), (1, &event("k-1")));
    let conflicts = store.conflicts(PageRequest::first()).await.expect("open").items;
    let [conflict] = &conflicts[..] else { panic!("one conflict, not {}", conflicts.len()) };
    assert_eq!((&*conflict.endpoint, conflict.idempotency_key.as_str()), ("main", "k-1"));
    assert_eq!((conflict.seen, &*conflict.body), (2, &another_body("k-1")));
}

#[tokio::test]
async fn the_same_event_signed_again_by_a_retry_is_a_duplicate() {
    let store = Arc::new(MemoryStore::new());
    let clock = ManualClock::at(NOW);
    let auth = Auth::signature([SECRET]).expect("a good secret");
    let receiver = Receiver::builder("main", auth, Arc::new(Inbox::new(store)))
        .clock(clock.clone())
        .build()
        .expect("a good configuration");
    assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Stored));

    clock.advance(Duration::from_secs(3600));
    let later = NOW.saturating_add(Duration::from_secs(3600));
    let request = Signer::new(SECRET).expect("a good secret").sign(later, event("k-1"));
    let reply = receiver.receive(request.credentials(), request.body.clone()).await;
    assert_eq!(reply, received(Disposition::Duplicate));
}

#[tokio::test]
async fn two_endpoints_receive_the_same_event_independently() {
    let store = Arc::new(MemoryStore::new());
    for endpoint in ["main", "audit"] {
        let auth = Auth::signature([SECRET]).expect("a good secret");
        let receiver = Receiver::builder(endpoint, auth, Inbox::new(store.clone()))
            .clock(|| NOW)
            .build()
            .expect("a good configuration");
        assert_eq!(receiver.endpoint(), endpoint);
        assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Stored));
    }
    assert_eq!(waiting(&store).await, 2);
}

#[tokio::test]
async fn an_unknown_type_is_stored_like_any_other() {
    let (receiver, store) = inbox();
    let body = r#"{"idempotencyKey":"k-1","eventType":"WHITEBOARD_OPENED","data":[1]}"#;
    let reply = deliver(&receiver, body).await;
    assert_eq!((reply.status(), reply), (200, received(Disposition::Stored)));
    let stored = store.events(&EventQuery::default()).await.expect("open").items;
    assert_eq!((&*stored[0].event_type, &stored[0].body[..]), ("WHITEBOARD_OPENED", body.as_bytes()));
}

#[tokio::test]
async fn bytes_without_a_valid_envelope_go_to_quarantine_once_each() {
    let (receiver, store) = inbox();
    let unreadable = unreadable();
    assert_eq!(unreadable.len(), 12);
    for (name, body) in unreadable.iter().chain(&unreadable) {
        let reply = deliver(&receiver, body.clone()).await;
        assert_eq!((reply.status(), reply), (200, received(Disposition::Quarantined)), "{name}");
    }

    let rows = store.quarantined(PageRequest::first()).await.expect("open").items;
    assert_eq!(rows.len(), unreadable.len());
    for (row, (name, body)) in rows.iter().zip(&unreadable) {
        assert_eq!((&*row.body, row.seen, &*row.endpoint), (body, 2, "main"), "{name}");
        assert!(!row.reason.is_empty(), "{name}");
    }
    assert_eq!(waiting(&store).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_identical_concurrent_deliveries_one_is_stored_and_63_are_duplicates() {
    let (receiver, store) = inbox();
    let receiver = Arc::new(receiver);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let receiver = receiver.clone();
            tokio::spawn(async move { deliver(&receiver, event("k-1")).await })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Reply::Received(Disposition::Stored) => stored += 1,
            other => assert_eq!(other, received(Disposition::Duplicate)),
        }
    }
    assert_eq!((stored, waiting(&store).await), (1, 1));
}

/// The bodies of the testkit's `unreadable` folder by file name.
fn unreadable() -> Vec<(String, Bytes)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../jaas-testkit/unreadable");
    let mut bodies: Vec<_> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            (name, fs::read(entry.path()).expect("the file").into())
        })
        .collect();
    bodies.sort();
    bodies
}
