//! What a receiver decides and replies, over the in-memory inbox.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jaas_core::signature::{self, Tolerance};
use jaas_core::store::{EventAdmin as _, EventQuery, EventState, MemoryStore, PageRequest, StoreStats};
use jaas_core::{
    Auth, Credentials, DispatchError, DispatchErrorKind, Dispatcher, Disposition, Inbox, Incoming, Receiver,
    ReceiverBuilder, Reply, RequestHead, Timestamp,
};
use jaas_testkit::{ManualClock, Signer, fixture};
use tokio::time::Instant;

use crate::support::{Gate, NOW, SECRET, another_body, deliver, event, receiver, signed};

const OTHER_SECRET: &str = "whsec_ffffffffffffffffffffffffffffffff";
const VALUE: &str = "Bearer 1234";

fn received(disposition: Disposition) -> Reply {
    Reply::Received(disposition)
}

fn unavailable(secs: u64) -> Reply {
    Reply::Unavailable { retry_after: Duration::from_secs(secs) }
}

/// An inbox's receiver and the store behind it.
fn inbox() -> (Receiver, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (receiver(Inbox::new(store.clone())), store)
}

fn over(store: &Arc<MemoryStore>, auth: Auth) -> Receiver {
    let inbox = Inbox::new(store.clone());
    Receiver::builder("main", auth, inbox).clock(|| NOW).build().expect("a good configuration")
}

async fn stats(store: &MemoryStore) -> StoreStats {
    store.stats().await.expect("the store is open")
}

async fn waiting(store: &MemoryStore) -> u64 {
    stats(store).await.count(EventState::Waiting)
}

mod authentic_deliveries_are_kept_with_200 {
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
}

mod unauthentic_deliveries_get_401 {
    use super::*;

    /// Credentials that do not authenticate this body, under the policy that refuses them.
    fn refused(body: &Bytes) -> Vec<(&'static str, Auth, Option<String>, Option<&'static str>)> {
        let by_signature = || Auth::signature([SECRET]).expect("good");
        let both = || Auth::signature_and_authorization([SECRET], [VALUE]).expect("good");
        let either = || Auth::signature_or_authorization([SECRET], [VALUE]).expect("good");
        let by_value = || Auth::authorization([VALUE]).expect("good");
        let sign = |secret: &str, at: Timestamp, body: Bytes| {
            Some(Signer::new(secret).expect("good").sign(at, body).signature)
        };
        let good = || sign(SECRET, NOW, body.clone());
        let forged = || sign(OTHER_SECRET, NOW, body.clone());
        let past = NOW.saturating_sub(Duration::from_secs(24 * 60 * 60 + 1));
        let future = NOW.saturating_add(Duration::from_secs(5 * 60 + 1));
        vec![
            ("nothing at all", by_signature(), None, None),
            ("an empty signature", by_signature(), Some(String::new()), None),
            ("a signature without t", by_signature(), good().map(|s| s.replace("t=", "x=")), None),
            ("a signature as v0", by_signature(), good().map(|s| s.replace("v1=", "v0=")), None),
            ("a signature without padding", by_signature(), good().map(|s| s.replace('=', "")), None),
            ("another secret", by_signature(), forged(), None),
            ("another body", by_signature(), sign(SECRET, NOW, event("k-9")), None),
            ("an altered t", by_signature(), good().map(|s| s.replace("t=1795420800", "t=1795420801")), None),
            ("too old", by_signature(), sign(SECRET, past, body.clone()), None),
            ("from the future", by_signature(), sign(SECRET, future, body.clone()), None),
            ("an Authorization that is not required", by_signature(), None, Some(VALUE)),
            ("the secret as Authorization", by_signature(), None, Some(SECRET)),
            ("no Authorization", by_value(), None, None),
            ("a wrong Authorization", by_value(), None, Some("Bearer 12345")),
            ("an Authorization of another case", by_value(), None, Some("bearer 1234")),
            ("an empty Authorization", by_value(), None, Some("")),
            ("a signature that is not required", by_value(), good(), None),
            ("both wanted, only the signature", both(), good(), None),
            ("both wanted, a wrong Authorization", both(), good(), Some("Bearer")),
            ("both wanted, only the Authorization", both(), None, Some(VALUE)),
            ("both wanted, a forged signature", both(), forged(), Some(VALUE)),
            ("either wanted, neither there", either(), None, None),
            ("either wanted, both wrong", either(), forged(), Some("Bearer")),
        ]
    }

    #[tokio::test]
    async fn g6_nothing_unauthentic_touches_the_store() {
        let store = Arc::new(MemoryStore::new());
        let first = receiver(Inbox::new(store.clone()));
        deliver(&first, event("k-1")).await;
        deliver(&first, another_body("k-1")).await;
        deliver(&first, "unreadable").await;
        let before = stats(&store).await;
        assert_eq!((before.count(EventState::Waiting), before.conflicts, before.quarantined), (1, 1, 1));

        // What would be a new event, a duplicate, a conflict, and bytes without an envelope.
        for body in [event("k-2"), event("k-1"), another_body("k-1"), Bytes::from_static(b"unreadable")] {
            for (name, auth, signature, authorization) in refused(&body) {
                let credentials = Credentials { signature: signature.as_deref(), authorization };
                let reply = over(&store, auth).receive(credentials, body.clone()).await;
                assert_eq!((reply.status(), reply), (401, Reply::Unauthorized), "{name}");
                assert_eq!(stats(&store).await, before, "{name}");
            }
        }
        let conflicts = store.conflicts(PageRequest::first()).await.expect("open").items;
        let quarantined = store.quarantined(PageRequest::first()).await.expect("open").items;
        assert_eq!((conflicts[0].seen, quarantined[0].seen), (1, 1));
    }

    #[tokio::test]
    async fn a_refused_request_never_reaches_the_dispatcher() {
        let probe = Probe::new(Then::Take);
        for (name, auth, signature, authorization) in refused(&event("k-1")) {
            let receiver =
                Receiver::builder("main", auth, probe.clone()).clock(|| NOW).build().expect("good");
            let credentials = Credentials { signature: signature.as_deref(), authorization };
            assert_eq!(receiver.receive(credentials, event("k-1")).await, Reply::Unauthorized, "{name}");
        }
        assert_eq!(probe.calls(), 0);
    }

    #[tokio::test]
    async fn a_refusal_reveals_nothing() {
        for (name, auth, signature, authorization) in refused(&event("k-1")) {
            let receiver = over(&Arc::new(MemoryStore::new()), auth);
            let credentials = Credentials { signature: signature.as_deref(), authorization };
            let reply = receiver.receive(credentials, event("k-1")).await;
            assert_eq!(reply.to_string(), "401 unauthorized", "{name}");
            assert_eq!(reply.retry_after_secs(), None, "{name}");
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("v1") && !shown.contains("Bearer"), "{name}: {shown}");
        }
    }

    #[tokio::test]
    async fn the_tolerance_is_what_was_configured() {
        let tolerance = Tolerance { past: Duration::from_secs(60), future: Duration::ZERO };
        let auth = || Auth::signature([SECRET]).expect("good").tolerance(tolerance);
        for (at, status) in [(-61, 401), (-60, 200), (0, 200), (1, 401)] {
            let signed_at = Timestamp::from_secs(NOW.as_secs() + at);
            let request = Signer::new(SECRET).expect("good").sign(signed_at, event("k-1"));
            let receiver = over(&Arc::new(MemoryStore::new()), auth());
            let reply = receiver.receive(request.credentials(), request.body.clone()).await;
            assert_eq!(reply.status(), status, "{at}");
        }
    }

    #[tokio::test]
    async fn by_default_a_day_old_signature_is_good_and_one_five_minutes_ahead() {
        let (receiver, _) = inbox();
        for (key, at) in [("k-1", -24 * 60 * 60), ("k-2", 5 * 60)] {
            let signed_at = Timestamp::from_secs(NOW.as_secs() + at);
            let request = Signer::new(SECRET).expect("good").sign(signed_at, event(key));
            let reply = receiver.receive(request.credentials(), request.body.clone()).await;
            assert_eq!(reply, received(Disposition::Stored), "{at}");
        }
    }
}

mod authentic_senders_are_admitted {
    use super::*;

    #[tokio::test]
    async fn during_a_rotation_both_secrets_are_good() {
        let store = Arc::new(MemoryStore::new());
        let receiver = over(&store, Auth::signature([OTHER_SECRET, SECRET]).expect("good"));
        for (key, secret) in [("k-1", SECRET), ("k-2", OTHER_SECRET)] {
            let request = Signer::new(secret).expect("good").sign(NOW, event(key));
            let reply = receiver.receive(request.credentials(), request.body.clone()).await;
            assert_eq!(reply, received(Disposition::Stored), "{secret}");
        }
        let after = over(&store, Auth::signature([OTHER_SECRET]).expect("good"));
        assert_eq!(deliver(&after, event("k-3")).await, Reply::Unauthorized);
    }

    #[tokio::test]
    async fn a_sender_that_signs_with_two_secrets_is_good_if_one_is_known() {
        let (receiver, _) = inbox();
        let with = |secret| Signer::new(secret).expect("good").sign(NOW, event("k-1")).signature;
        let signature = format!("{},{}", with(OTHER_SECRET), with(SECRET).replace("t=1795420800,", ""));
        let credentials = Credentials { signature: Some(&signature), authorization: None };
        assert_eq!(receiver.receive(credentials, event("k-1")).await, received(Disposition::Stored));
    }

    #[tokio::test]
    async fn each_policy_accepts_what_it_requires() {
        let by_signature = || Auth::signature([SECRET]).expect("good");
        let both = Auth::signature_and_authorization([SECRET], ["Bearer old", VALUE]).expect("good");
        let either = || Auth::signature_or_authorization([SECRET], ["Bearer old", VALUE]).expect("good");
        let by_value = || Auth::authorization(["Bearer old", VALUE]).expect("good");
        let signature = signed(event("k-1")).signature;
        for (name, auth, signature, authorization) in [
            ("both", both, Some(&*signature), Some(VALUE)),
            ("either, by signature", either(), Some(&*signature), None),
            ("either, by Authorization", either(), None, Some(VALUE)),
            ("either, one of them wrong", either(), Some("t=1,v1=AAAA"), Some(VALUE)),
            ("either, the other wrong", either(), Some(&*signature), Some("Bearer")),
            ("Authorization", by_value(), None, Some(VALUE)),
            ("Authorization during a rotation", by_value(), None, Some("Bearer old")),
            (
                "signature, with an Authorization that is not required",
                by_signature(),
                Some(&*signature),
                Some("x"),
            ),
        ] {
            let receiver = over(&Arc::new(MemoryStore::new()), auth);
            let reply = receiver.receive(Credentials { signature, authorization }, event("k-1")).await;
            assert_eq!(reply, received(Disposition::Stored), "{name}");
        }
    }

    #[tokio::test]
    async fn the_headers_of_a_request_are_its_credentials() {
        let (receiver, _) = inbox();
        let request = signed(event("k-1"));
        let headers = request.headers();
        let lines = |wanted: &'static str| {
            headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
        };
        let reply = receiver.receive(RequestHead::from_lines(lines), request.body.clone()).await;
        assert_eq!(reply, received(Disposition::Stored));
    }

    /// A list header may be split or repeated in transit (RFC 9110, 5.3).
    #[tokio::test]
    async fn a_signature_in_several_lines_is_joined_and_every_v1_is_tried() {
        let request = signed(event("k-1"));
        let whole = request.signature.as_str();
        let (t, v1) = whole.split_once(',').expect("two elements");
        let bad = "v1=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let wrong = format!("{t},{bad}");
        for (lines, status) in [
            (&[&b""[..], t.as_bytes(), v1.as_bytes()][..], 200),
            (&[v1.as_bytes(), t.as_bytes()], 200),
            (&[wrong.as_bytes(), whole.as_bytes()], 200),
            (&[t.as_bytes(), b"v0=x", b"\xff", bad.as_bytes(), v1.as_bytes()], 200),
            (&[whole.as_bytes(), whole.as_bytes()], 200),
            (&[t.as_bytes(), bad.as_bytes()], 401),
            (&[whole.as_bytes(), b"t=1"], 401),
            (&[v1.as_bytes()], 401),
            (&[], 401),
        ] {
            let (receiver, store) = inbox();
            let head = RequestHead::from_lines(|name| {
                if name == signature::HEADER { lines } else { &[] }.iter().copied()
            });
            let reply = receiver.receive(head, request.body.clone()).await;
            assert_eq!(reply.status(), status, "{lines:?}");
            assert_eq!(
                store.events(&EventQuery::default()).await.expect("listed").items.len(),
                usize::from(status == 200)
            );
        }
    }

    #[tokio::test]
    async fn thousands_of_v1_are_refused_before_any_is_tried() {
        let (receiver, _) = inbox();
        let request = signed(event("k-1"));
        let many = "v1=AAAA,".repeat(5000);
        let lines = [many.as_str(), &request.signature];
        let head = RequestHead::from_lines(|name| {
            if name == signature::HEADER { &lines[..] } else { &[] }.iter().copied()
        });
        assert_eq!(receiver.receive(head, request.body.clone()).await, Reply::Unauthorized);
    }

    #[tokio::test]
    async fn a_tracestate_in_several_lines_is_kept_whole_and_authorization_is_not_a_list() {
        let head = RequestHead::from_lines(|name| {
            let lines: &[&str] = match name {
                "traceparent" => &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
                "tracestate" => &["vendor=1", "other=2, third=3"],
                "authorization" => &["Bearer one", "Bearer two"],
                _ => &[],
            };
            lines.iter().copied()
        });
        assert_eq!(
            head.trace.as_ref().and_then(|trace| trace.tracestate()),
            Some("vendor=1,other=2,third=3")
        );
        assert_eq!(head.credentials().authorization, Some("Bearer one"));
    }
}

mod deliveries_that_cannot_be_accepted_now_get_503 {
    use super::*;

    #[tokio::test]
    async fn when_the_dispatcher_fails_with_the_wait_it_asks_for() {
        let probe = Probe::new(Then::Fail);
        let reply = deliver(&receiver(probe.clone()), event("k-1")).await;
        assert_eq!(reply.retry_after_secs(), Some(7));
        assert_eq!((reply.status(), reply), (503, unavailable(7)));
        assert_eq!(probe.calls(), 1);
    }

    #[tokio::test]
    async fn when_the_store_is_full_and_nothing_is_acknowledged_that_was_not_stored() {
        let store = Arc::new(MemoryStore::with_capacity(1));
        let receiver = receiver(Inbox::new(store.clone()));
        assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Stored));
        let reply = deliver(&receiver, event("k-2")).await;
        assert_eq!((reply.status(), reply), (503, unavailable(1)));
        assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Duplicate));
        assert_eq!(waiting(&store).await, 1);
    }

    /// Accepts nothing until the test lets it.
    struct Takes(Arc<AtomicBool>);

    #[async_trait]
    impl Dispatcher for Takes {
        async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
            if self.0.load(Ordering::Relaxed) {
                return Ok(Disposition::Stored);
            }
            Err(DispatchError::new(
                DispatchErrorKind::Unavailable,
                "the table is locked",
                Duration::from_secs(5),
            ))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_refuses_after_twenty_refusals_in_a_row_and_is_tried_again() {
        let takes = Arc::new(AtomicBool::new(false));
        let receiver = receiver(Takes(takes.clone()));
        for number in 0..19 {
            assert_eq!(deliver(&receiver, event(&format!("k{number}"))).await.status(), 503);
            assert!(!receiver.is_refusing(), "after {number}");
        }
        // A delivery that the dispatcher has not seen does not count.
        receiver.receive(Credentials::default(), event("k")).await;
        assert!(!receiver.is_refusing());
        deliver(&receiver, event("k19")).await;
        assert!(receiver.is_refusing());

        takes.store(true, Ordering::Relaxed);
        assert_eq!(deliver(&receiver, event("k20")).await.status(), 200);
        assert!(!receiver.is_refusing(), "the first accepted delivery ends it");

        takes.store(false, Ordering::Relaxed);
        for _ in 0..20 {
            deliver(&receiver, event("k21")).await;
        }
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(receiver.is_refusing());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!receiver.is_refusing(), "when no more come, it is tried again");
        deliver(&receiver, event("k22")).await;
        assert!(receiver.is_refusing(), "and one more refusal is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_dispatcher_hangs_at_its_timeout() {
        let probe = Probe::new(Then::Wait(Gate::new()));
        for limit in [Duration::from_secs(10), Duration::from_millis(250)] {
            let auth = Auth::signature([SECRET]).expect("good");
            let mut builder = Receiver::builder("main", auth, probe.clone()).clock(|| NOW).max_in_flight(1);
            if limit != Duration::from_secs(10) {
                builder = builder.timeout(limit);
            }
            let receiver = builder.build().expect("good");
            // The second time shows that the place of the first one was released.
            for _ in 0..2 {
                let start = Instant::now();
                assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
                assert_eq!(start.elapsed(), limit);
            }
        }
        assert_eq!(probe.calls(), 4);
    }

    #[tokio::test]
    async fn when_too_many_are_in_flight_until_one_of_them_ends() {
        let gate = Gate::new();
        let probe = Probe::new(Then::Wait(gate.clone()));
        let auth = Auth::signature([SECRET]).expect("good");
        let receiver = Receiver::builder("main", auth, probe.clone())
            .clock(|| NOW)
            .max_in_flight(2)
            .build()
            .map(Arc::new)
            .expect("good");
        let spawn = |key: &'static str| {
            let receiver = receiver.clone();
            tokio::spawn(async move { deliver(&receiver, event(key)).await })
        };
        let (first, second) = (spawn("k-1"), spawn("k-2"));
        gate.wait_for(2).await;
        let reply = deliver(&receiver, event("k-3")).await;
        assert_eq!((reply.status(), reply), (503, unavailable(1)));
        assert_eq!((gate.entered(), probe.calls()), (2, 2));

        gate.open(2);
        for task in [first, second] {
            assert_eq!(task.await.expect("no panic"), received(Disposition::Stored));
        }
        gate.open(1);
        assert_eq!(deliver(&receiver, event("k-3")).await, received(Disposition::Stored));
    }

    #[tokio::test]
    async fn a_sender_that_hangs_up_gives_its_place_back() {
        let gate = Gate::new();
        let probe = Probe::new(Then::Wait(gate.clone()));
        let auth = Auth::signature([SECRET]).expect("good");
        let receiver =
            Receiver::builder("main", auth, probe).clock(|| NOW).max_in_flight(1).build().expect("good");
        tokio::select! {
            biased;
            reply = deliver(&receiver, event("k-1")) => panic!("the gate is shut: {reply}"),
            () = gate.wait_for(1) => {}
        }
        gate.open(1);
        assert_eq!(deliver(&receiver, event("k-2")).await, received(Disposition::Stored));
    }

    #[tokio::test]
    async fn after_close_even_a_genuine_delivery() {
        let probe = Probe::new(Then::Take);
        let receiver = receiver(probe.clone());
        assert!(!receiver.is_closed());
        receiver.close();
        assert!(receiver.is_closed());
        for request in [signed(event("k-1")), signed("unreadable")] {
            let reply = receiver.receive(request.credentials(), request.body.clone()).await;
            assert_eq!((reply.status(), reply), (503, unavailable(5)));
        }
        let forged = receiver.receive(Credentials::default(), event("k-1")).await;
        assert_eq!((forged, probe.calls()), (unavailable(5), 0));
    }

    #[tokio::test]
    async fn but_a_delivery_in_flight_at_close_gets_its_own_result() {
        let gate = Gate::new();
        let receiver = Arc::new(receiver(Probe::new(Then::Wait(gate.clone()))));
        let task = tokio::spawn({
            let receiver = receiver.clone();
            async move { deliver(&receiver, event("k-1")).await }
        });
        gate.wait_for(1).await;
        receiver.close();
        gate.open(1);
        assert_eq!(task.await.expect("no panic"), received(Disposition::Stored));
    }
}

mod replies {
    use super::*;

    #[tokio::test]
    async fn the_reply_is_the_result_of_the_dispatcher_and_always_200() {
        let done = [
            Disposition::Stored,
            Disposition::Handled,
            Disposition::Ignored,
            Disposition::Failed,
            Disposition::Duplicate,
            Disposition::Conflict,
            Disposition::Quarantined,
        ];
        for disposition in done {
            let reply = deliver(&receiver(Probe::new(Then::Return(disposition))), event("k-1")).await;
            assert_eq!((reply.status(), reply.retry_after_secs()), (200, None));
            assert_eq!(reply, received(disposition));
        }
    }

    #[test]
    fn a_request_refused_before_its_body_is_read_keeps_its_own_status() {
        let receiver = receiver(Probe::new(Then::Take));
        for (reply, status) in [
            (Reply::Incomplete, 400),
            (Reply::MethodNotAllowed, 405),
            (Reply::TooSlow, 408),
            (Reply::TooLarge, 413),
            (unavailable(1), 503),
        ] {
            assert_eq!(receiver.refuse(reply.clone()), reply);
            assert_eq!(reply.status(), status);
        }
    }
}

mod a_configuration_that_cannot_work_is_refused {
    use super::*;

    fn refusal(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> String {
        named("main", change).expect_err("a bad configuration")
    }

    fn named(
        endpoint: &str,
        change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder,
    ) -> Result<Receiver, String> {
        let auth = Auth::signature([SECRET]).expect("good");
        change(Receiver::builder(endpoint, auth, Probe::new(Then::Take))).build().map_err(|e| e.to_string())
    }

    #[test]
    fn an_endpoint_needs_a_name_that_can_be_stored() {
        for name in ["", " ", "\t\n", "ma\0in", &"n".repeat(256)] {
            let refusal = named(name, |builder| builder).expect_err("a bad name");
            assert!(refusal.contains("name"), "{name:?}: {refusal}");
        }
        assert!(named(&"n".repeat(255), |builder| builder).is_ok());
    }

    #[test]
    fn a_limit_of_zero_would_refuse_everything() {
        assert!(refusal(|builder| builder.max_in_flight(0)).contains("max_in_flight"));
        assert!(refusal(|builder| builder.max_in_flight(usize::MAX)).contains("max_in_flight"));
        assert!(refusal(|builder| builder.timeout(Duration::ZERO)).contains("timeout"));
    }

    #[test]
    fn an_empty_secret_is_refused_before_there_is_a_receiver() {
        assert!(Auth::signature([""]).is_err());
        assert!(Auth::signature([SECRET, " "]).is_err());
        assert!(Auth::signature(Vec::<String>::new()).is_err());
        assert!(Auth::authorization([""]).is_err());
        assert!(Auth::signature_and_authorization([SECRET], [""]).is_err());
        assert!(Auth::signature_or_authorization([SECRET], [""; 0]).is_err());
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let auth = Auth::signature_and_authorization([SECRET], [VALUE]).expect("good");
        let builder = Receiver::builder("main", auth, Probe::new(Then::Take));
        let shown = format!("{builder:?}");
        let shown = format!("{shown}{:?}", builder.build().expect("good"));
        assert!(!shown.contains("whsec_") && !shown.contains("1234"), "{shown}");
    }
}

/// A dispatcher that counts what reaches it.
struct Probe {
    calls: AtomicUsize,
    then: Then,
}

enum Then {
    Take,
    Return(Disposition),
    Fail,
    Wait(Arc<Gate>),
}

impl Probe {
    fn new(then: Then) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), then })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Dispatcher for Probe {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match &self.then {
            Then::Take => Ok(Disposition::Stored),
            Then::Return(disposition) => Ok(*disposition),
            Then::Fail => Err(DispatchError::new(
                DispatchErrorKind::Unavailable,
                "the store is away",
                Duration::from_secs(7),
            )),
            Then::Wait(gate) => {
                gate.pass().await;
                Ok(Disposition::Stored)
            }
        }
    }
}
