//! What the stream has.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::SOON;
use crate::load::{LINK, Load};

pub(crate) struct Found {
    /// How many messages the stream has, repetitions included.
    pub(crate) messages: usize,
}

/// Checks that the stream has each event of the load and nothing else, each session in its order, under one message id
/// for each event, and no link.
pub(crate) async fn check(url: &str, load: &Load) -> Found {
    let client = async_nats::connect(url).await.expect("connected");
    let stream = jetstream::new(client).get_stream("JAAS").await.expect("the stream");
    let messages = stream.cached_info().state.messages as usize;
    let consumer = stream.create_consumer(pull::Config::default()).await.expect("a consumer");
    let mut received = consumer.messages().await.expect("messages").take(messages);
    // The first place of each message id, and the ids of each key.
    let mut first: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some(message) = timeout(SOON, received.next()).await.expect("in time") {
        let message = message.expect("a message");
        message.ack().await.expect("acknowledged");
        let payload = std::str::from_utf8(&message.payload).expect("UTF-8");
        assert!(!payload.contains(LINK), "{payload}");
        let event: Value = serde_json::from_str(payload).expect("JSON");
        let text = |name: &str| event[name].as_str().expect("text").to_owned();
        let (key, session) = (text("idempotencyKey"), text("sessionId"));
        let subject = format!("jaas.vpaas-magic-cookie-1.{}.{session}", text("eventType"));
        assert_eq!(message.subject.as_str(), subject);
        let headers = message.headers.as_ref().expect("headers");
        let id = headers.get("Nats-Msg-Id").expect("an id").as_str().to_owned();
        assert_eq!(id, format!("main/{key}"));
        if ids.entry(key.clone()).or_default().insert(id) {
            first.entry(session).or_default().push(key);
        }
    }
    let expected: BTreeMap<String, Vec<String>> = load
        .sessions
        .iter()
        .map(|session| {
            let name = session[0].key.rsplit_once('-').expect("a session").0.to_owned();
            (name, session.iter().map(|event| event.key.clone()).collect())
        })
        .collect();
    for (session, keys) in &expected {
        let found = first.remove(session).unwrap_or_default();
        let missing: Vec<_> = keys.iter().filter(|key| !found.contains(key)).collect();
        assert!(missing.is_empty(), "missing in {session}: {missing:?}");
        assert_eq!(&found, keys, "the order of {session}");
    }
    assert!(first.is_empty(), "not sent: {first:?}");
    assert!(ids.values().all(|ids| ids.len() == 1), "one id for each event");
    Found { messages }
}
