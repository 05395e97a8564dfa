//! An event of a known type whose `data` does not decode: it is logged, counted, found and replayed, with and without an
//! implementation of `unknown`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{ParticipantJoined, UnknownEvent, UnknownReason};
use jaas_core::store::{AuditNote, EventAdmin as _, EventQuery, EventState, MemoryStore, StoredEvent};
use jaas_core::{
    Context, Direct, Disposition, EventHandler, Handled, HandlerError, HandlerResult, Handlers, Inbox, Reply,
    Worker,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::sleep;

use crate::lines::Lines;
use crate::world::{NOW, deliver, receiver};

const LIST: &str = r#"{"idempotencyKey":"list","eventType":"PARTICIPANT_JOINED","sessionId":"s-1","timestamp":1783497600000,"data":[{"participantId":"p1","name":"Guest"}]}"#;
const TEXT: &str = r#"{"idempotencyKey":"text","eventType":"PARTICIPANT_JOINED","data":"Guest"}"#;
/// One odd member name in the envelope, in `data`, and further down.
const ODD_NAMES: &str = r#"{"\ud800":1,"idempotencyKey":"odd","eventType":"PARTICIPANT_JOINED","\udc00":{"\ud800":1},"data":{"participantId":"p1","name":"Guest","\ud800":1,"x\udfff":{"\ud800":{}},"custom":{"\ud800":1,"b":2}}}"#;
const UNKNOWN_TYPE: &str = r#"{"idempotencyKey":"new","eventType":"WHITEBOARD_OPENED","data":[1]}"#;

/// Handles joins, and nothing that does not decode.
#[derive(Clone, Default)]
struct Joins(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl EventHandler for Joins {
    async fn participant_joined(&self, cx: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        let id = event.participant.participant_id.as_ref().map(ToString::to_string);
        let custom = cx.data_as::<serde_json::Value>()?["custom"]["b"].to_string();
        self.0.lock().expect("not poisoned").push(format!("{} {custom}", id.unwrap_or_default()));
        Ok(Handled::Done)
    }
}

/// Inspects data that does not decode.
struct Salvages;

#[async_trait]
impl EventHandler for Salvages {
    async fn unknown(&self, cx: &mut Context<'_>, event: &UnknownEvent<'_>) -> HandlerResult {
        assert!(matches!(event.reason, UnknownReason::Data(_)));
        let data: serde_json::Value = cx.data_as()?;
        assert!(data.is_array() || data.is_string());
        Ok(Handled::Done)
    }
}

/// Wants dead letters for data that does not decode.
struct Strict;

#[async_trait]
impl EventHandler for Strict {
    async fn unknown(&self, _: &mut Context<'_>, event: &UnknownEvent<'_>) -> HandlerResult {
        Err(HandlerError::permanent(event.reason.clone()))
    }
}

async fn work(store: &Arc<MemoryStore>, handler: impl EventHandler) {
    let worker = Worker::builder(store.clone(), Handlers::new().plain("mine", handler)).clock(|| NOW);
    let worker = worker.build().expect("good").spawn();
    sleep(Duration::from_secs(30)).await;
    worker.stop(Duration::ZERO).await;
}

async fn found(store: &MemoryStore, state: EventState) -> Vec<StoredEvent> {
    let event_type = Some("PARTICIPANT_JOINED".to_owned());
    let query = EventQuery { state: Some(state), event_type, ..EventQuery::default() };
    store.events(&query).await.expect("listed").items
}

fn counted(snapshotter: &Snapshotter, reason: &str) -> u64 {
    let series = snapshotter.snapshot().into_vec().into_iter().find(|(key, ..)| {
        key.key().name() == "jaas_unknown_events_total"
            && key.key().labels().any(|label| label.value() == reason)
    });
    match series {
        Some((_, _, _, DebugValue::Counter(count))) => count,
        _ => 0,
    }
}

fn warnings(lines: &Lines) -> Vec<String> {
    let lines = lines.of("jaas::work").into_iter();
    lines.filter(|line| line.starts_with("WARN") || line.starts_with("ERROR")).collect()
}

#[tokio::test(start_paused = true)]
async fn it_is_ignored_with_the_reason_logged_once_counted_found_and_replayed() {
    let (lines, recorder) = (Lines::default(), DebuggingRecorder::new());
    let snapshotter = recorder.snapshotter();
    let _listening = lines.listen();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
    for body in [LIST, TEXT, UNKNOWN_TYPE] {
        assert_eq!(deliver(&receiver, body).await, Reply::Received(Disposition::Stored));
    }
    work(&store, Joins::default()).await;

    let ignored = found(&store, EventState::Ignored).await;
    let notes: Vec<_> = ignored.iter().filter_map(|event| event.note.as_deref()).collect();
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("`data` is a list, where an object was expected"), "{notes:?}");
    assert!(notes[1].contains("`data` is a string, where an object was expected"), "{notes:?}");
    assert!(notes.iter().all(|note| !note.contains("for this event type") && !note.contains("Guest")));
    let warned = warnings(&lines);
    assert_eq!(warned.len(), 2, "one line for each, and none for an unknown type: {warned:?}");
    for (line, key, found) in [(&warned[0], "list", "a list"), (&warned[1], "text", "a string")] {
        for part in
            [format!("key=\"{key}\""), "event_type=\"PARTICIPANT_JOINED\"".to_owned(), found.to_owned()]
        {
            assert!(line.contains(&part), "{part} in {line}");
        }
        assert!(!line.contains("Guest"), "no values: {line}");
    }
    assert_eq!(counted(&snapshotter, "data"), 2);

    // A version that inspects it, or decodes it, gets it again.
    let joins = EventQuery {
        state: Some(EventState::Ignored),
        event_type: Some("PARTICIPANT_JOINED".to_owned()),
        ..EventQuery::default()
    };
    let note = AuditNote::new("operator", "a version that reads lists");
    let replayed = store.replay_matching(&joins, &note, NOW).await.expect("replayed");
    assert_eq!(replayed.items.len(), 2);
    work(&store, Salvages).await;
    assert_eq!(found(&store, EventState::Done).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_says_so_makes_a_dead_letter_of_it() {
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
    deliver(&receiver, LIST).await;
    work(&store, Strict).await;
    let dead = found(&store, EventState::Dead).await;
    assert!(dead[0].note.as_deref().is_some_and(|note| note.contains("`data` is a list")), "{dead:?}");
    store.replay(dead[0].id, &AuditNote::new("operator", "fixed"), NOW).await.expect("replayed");
    work(&store, Salvages).await;
    assert_eq!(found(&store, EventState::Done).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_it_is_logged_too() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let direct = Direct::builder(Handlers::new().plain("mine", Joins::default())).build().expect("good");
    let receiver = receiver(direct).build().expect("good");
    assert_eq!(deliver(&receiver, LIST).await, Reply::Received(Disposition::Ignored));
    assert_eq!(deliver(&receiver, LIST).await, Reply::Received(Disposition::Duplicate));
    assert_eq!(warnings(&lines).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_odd_member_name_costs_that_member_and_nothing_else_at_any_depth() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
    assert_eq!(deliver(&receiver, ODD_NAMES).await, Reply::Received(Disposition::Stored));
    let joins = Joins::default();
    work(&store, joins.clone()).await;
    assert_eq!(found(&store, EventState::Done).await.len(), 1);
    assert_eq!(*joins.0.lock().expect("not poisoned"), ["p1 2"]);
    assert_eq!(warnings(&lines), [""; 0]);
}
