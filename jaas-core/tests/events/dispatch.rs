//! From an event to its method.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jaas_core::event::{Event, EventKind, RecordingUploaded, RoomCreated, UnknownEvent, UnknownReason};
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerError, HandlerResult};
use jaas_testkit::{Recorder, fixture};
use serde::Deserialize;

use crate::parsing::*;

/// One delivery of every kind, and one of an unknown kind.
fn one_of_every_kind() -> Vec<(EventKind, Delivery)> {
    let unknown = r#"{"idempotencyKey":"k","eventType":"WHITEBOARD_OPENED","data":{"id":7}}"#;
    let known = EventKind::ALL.iter().map(|kind| (*kind, read(fixture::of(*kind).body)));
    known.chain([(EventKind::Unknown, read(unknown))]).collect()
}

#[test]
fn a_handler_that_implements_nothing_ignores_every_kind() {
    struct Nothing;
    impl EventHandler for Nothing {}

    for (kind, delivery) in one_of_every_kind() {
        assert!(matches!(handle(&Nothing, &delivery), Handled::Ignored(_)), "{kind}");
        assert!(matches!(handle(&Arc::new(Nothing), &delivery), Handled::Ignored(_)), "{kind}");
    }
}

#[test]
fn a_shared_or_boxed_handler_forwards_every_method_to_itself() {
    let recorder = Recorder::new();
    let shared = Arc::new(recorder.clone());
    let dynamic: Arc<dyn EventHandler> = Arc::new(recorder.clone());
    let boxed: Box<dyn EventHandler> = Box::new(recorder.clone());
    let nested = Arc::new(Box::new(Arc::new(recorder.clone())));
    for (kind, delivery) in one_of_every_kind() {
        let before = recorder.seen().len();
        handle(&shared, &delivery);
        handle(&dynamic, &delivery);
        handle(&boxed, &delivery);
        handle(&nested, &delivery);
        handle(&*dynamic, &delivery);
        // The method of the pointer itself, as code calls it that goes on from `any_event`.
        for handler in [&shared as &dyn EventHandler, &dynamic, &boxed, &nested] {
            let mut tx = ();
            let mut cx = Context::new(&delivery, &mut tx);
            let result = delivery.event().dispatch(handler, &mut cx).now_or_never();
            assert_eq!(result.expect("no waiting"), Ok(Handled::Done));
        }
        let methods: Vec<_> = recorder.seen()[before..].iter().map(|seen| seen.method).collect();
        assert_eq!(methods, [kind; 9]);
    }
}

#[test]
fn a_handler_of_one_kind_is_called_for_that_kind_only() {
    struct Rooms;
    #[async_trait]
    impl EventHandler for Rooms {
        async fn room_created(&self, cx: &mut Context<'_>, event: &RoomCreated) -> HandlerResult {
            assert_eq!(cx.envelope().kind, EventKind::RoomCreated);
            assert_eq!(text(&event.conference), Some(CONFERENCE));
            Ok(Handled::Done)
        }
    }

    for (kind, delivery) in one_of_every_kind() {
        let done = handle(&Rooms, &delivery) == Handled::Done;
        assert_eq!(done, kind == EventKind::RoomCreated, "{kind}");
    }
}

#[test]
fn any_event_sees_every_kind_first_and_decides_whether_its_own_method_follows() {
    struct Audit {
        all: Mutex<Vec<EventKind>>,
        then: Recorder,
    }
    #[async_trait]
    impl EventHandler for Audit {
        async fn any_event(&self, cx: &mut Context<'_>, event: &Event) -> HandlerResult {
            self.all.lock().expect("no panic").push(event.kind());
            match event {
                Event::RoomCreated(_) => event.dispatch(&self.then, cx).await,
                _ => Ok(Handled::ignored("no room")),
            }
        }
    }

    let recorder = Recorder::new();
    let audit = Arc::new(Audit { all: Mutex::default(), then: recorder.clone() });
    let handlers: [Box<dyn EventHandler>; 2] = [Box::new(audit.clone()), Box::new(Arc::new(audit.clone()))];
    for (kind, delivery) in one_of_every_kind() {
        for handler in &handlers {
            let done = handle(handler, &delivery) == Handled::Done;
            assert_eq!(done, kind == EventKind::RoomCreated, "{kind}");
        }
    }
    let twice = EventKind::ALL.iter().copied().chain([EventKind::Unknown]).flat_map(|kind| [kind, kind]);
    assert_eq!(*audit.all.lock().expect("no panic"), twice.collect::<Vec<_>>());
    assert_eq!(recorder.seen().len(), 2);
}

#[test]
fn the_caller_gets_what_a_method_returns() {
    for answer in [
        (|| Ok(Handled::Done)) as fn() -> HandlerResult,
        || Ok(Handled::ignored("not ours")),
        || Err(HandlerError::permanent("no such room")),
    ] {
        let recorder = Recorder::answering(move |_| answer());
        for (kind, delivery) in one_of_every_kind() {
            let mut tx = ();
            let mut cx = Context::new(&delivery, &mut tx);
            let result = delivery.event().dispatch(&recorder, &mut cx).now_or_never();
            assert_eq!(result.expect("no waiting"), answer(), "{kind}");
        }
    }
}

#[test]
fn unknown_gets_the_type_and_the_reason() {
    struct Reasons;
    #[async_trait]
    impl EventHandler for Reasons {
        async fn unknown(&self, cx: &mut Context<'_>, event: &UnknownEvent<'_>) -> HandlerResult {
            Ok(Handled::ignored(format!("{}: {} {}", event.event_type, event.reason, cx.data())))
        }
    }

    let body = |event_type: &str, data: &str| {
        read(&format!(r#"{{"idempotencyKey":"k","eventType":"{event_type}","data":{data}}}"#))
    };
    let reason = UnknownReason::Type;
    assert_eq!(handle(&Reasons, &body("X", "7")), Handled::ignored(format!("X: {reason} 7")));
    assert_eq!(
        handle(&Reasons, &body("USAGE", "\"x\"")),
        Handled::ignored("USAGE: `data` is a string, where a list was expected \"x\"")
    );
    // The names on the wire are upper case, and "UNKNOWN" is not one of them.
    for event_type in ["room_created", "UNKNOWN", " ROOM_CREATED"] {
        let expected = Handled::ignored(format!("{event_type}: {reason} {{}}"));
        assert_eq!(handle(&Reasons, &body(event_type, "{}")), expected);
    }
}

#[test]
fn untyped_fields_are_reachable_in_every_method() {
    #[derive(Deserialize)]
    struct Region {
        name: String,
        shards: Vec<u8>,
    }
    #[derive(Deserialize)]
    struct MyFields {
        region: Region,
    }
    struct Raw;
    #[async_trait]
    impl EventHandler for Raw {
        async fn room_created(&self, cx: &mut Context<'_>, _: &RoomCreated) -> HandlerResult {
            let MyFields { region } = cx.data_as()?;
            assert_eq!((&*region.name, &region.shards[..]), ("eu-west", &[1, 2][..]));
            assert!(cx.data().contains("\"shards\""));
            assert_eq!((cx.attempt(), &*cx.delivery().endpoint), (1, "main"));
            Ok(Handled::Done)
        }
    }

    let case = fixture::CASES.iter().find(|case| case.name == "unknown-fields").expect("the case");
    assert_eq!(handle(&Raw, &read(case.body)), Handled::Done);
    let plain = read(fixture::of(EventKind::RoomCreated).body);
    let mut tx = ();
    let result = Raw.room_created(&mut Context::new(&plain, &mut tx), &RoomCreated::default()).now_or_never();
    let error = result.expect("no waiting").expect_err("there is no region");
    assert!(error.to_string().contains("missing field `region`"), "{error}");
}

#[test]
fn a_method_writes_in_the_transaction_it_is_given() {
    struct Writes;
    #[async_trait]
    impl EventHandler<Vec<String>> for Writes {
        async fn recording_uploaded(
            &self,
            cx: &mut Context<'_, Vec<String>>,
            event: &RecordingUploaded,
        ) -> HandlerResult {
            let id = event.recording_session_id.as_ref().ok_or("no recording")?.to_string();
            cx.tx().push(id);
            Ok(Handled::Done)
        }
    }

    let delivery = read(fixture::of(EventKind::RecordingUploaded).body);
    let mut tx = Vec::new();
    let mut cx = Context::new(&delivery, &mut tx);
    let handler: Box<dyn EventHandler<Vec<String>>> = Box::new(Writes);
    let result = delivery.event().dispatch(&handler, &mut cx).now_or_never();
    assert_eq!(result.expect("no waiting"), Ok(Handled::Done));
    assert_eq!(tx, ["rec-7f4c1a52-0001"]);
}
