//! Unauthentic deliveries get 401.

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
        let receiver = Receiver::builder("main", auth, probe.clone()).clock(|| NOW).build().expect("good");
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
