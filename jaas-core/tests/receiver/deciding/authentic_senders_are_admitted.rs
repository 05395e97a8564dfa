//! Authentic senders are admitted.

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
    assert_eq!(head.trace.as_ref().and_then(|trace| trace.tracestate()), Some("vendor=1,other=2,third=3"));
    assert_eq!(head.credentials().authorization, Some("Bearer one"));
}
