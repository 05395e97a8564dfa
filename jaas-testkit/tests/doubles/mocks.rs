//! A mock method for every event, and mocks whose panics are clear.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jaas_core::event::EventKind;
use jaas_core::store::{StoreError, StoreErrorKind};
use jaas_core::{
    Direct, Dispatcher as _, Disposition, Handled, HandlerError, HandlerResult, Handlers, Inbox,
};
use jaas_testkit::event::{self, EventBuilder};
use jaas_testkit::{MockEventHandler, MockEventStore, mockall};

/// Gives an event to a handler that does not wait.
fn handle(event: &EventBuilder, handler: &MockEventHandler) -> HandlerResult {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(event.handle(handler))
}

fn panic_of<T>(run: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else { panic!("it should have panicked") };
    *panic.downcast::<String>().expect("a message")
}

macro_rules! methods {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        &[$((EventKind::$Event, stringify!($method)),)* (EventKind::Unknown, "unknown")]
    };
}
const METHODS: &[(EventKind, &str)] = jaas_core::for_each_event!(methods);

#[test]
fn an_unexpected_event_panics_with_its_method_and_its_delivery() {
    for (kind, method) in METHODS {
        let event = event::of(*kind).key("k-17");
        let message = panic_of(|| handle(&event, &MockEventHandler::new()));
        assert!(message.contains(&format!("MockEventHandler::{method}(")), "{message}");
        assert!(message.contains("k-17") && message.contains("No matching expectation found"), "{message}");
        assert!(!message.contains("Ada Example"), "{message}");
    }
}

#[test]
fn expectations_get_the_delivery_and_the_payload_and_return_the_result() {
    let mut handler = MockEventHandler::new();
    let mut order = mockall::Sequence::new();
    let join = handler.expect_participant_joined().times(1).in_sequence(&mut order);
    join.withf(|delivery, event| delivery.attempt == 1 && event.participant.id == Some("u1".into()))
        .returning(|_, _| Ok(Handled::Done));
    handler
        .expect_room_destroyed()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _| Err(HandlerError::permanent("no")));
    handler.expect_unknown().times(2).returning(|_, reason| Ok(Handled::ignored(reason.to_string())));

    let joined = event::participant_joined().user("u1").untyped();
    assert_eq!(handle(&joined, &handler), Ok(Handled::Done));
    assert_eq!(handle(&event::room_destroyed().untyped(), &handler), Err(HandlerError::permanent("no")));
    let unknown = handle(&event::unknown("X"), &handler);
    assert_eq!(unknown, Ok(Handled::ignored("the event type is not known to this version")));
    assert!(handle(&event::usage().set("data", 7).untyped(), &handler).is_ok());
}

#[tokio::test]
async fn a_mock_works_with_any_transaction() {
    let mut handler = MockEventHandler::new();
    handler.expect_room_created().times(2).returning(|_, _| Ok(Handled::Done));
    event::room_created().handle_in(&handler, &mut ()).await.expect("handled");
    event::room_created().handle_in(&handler, &mut vec!["a row"]).await.expect("handled");
}

#[test]
fn an_unmet_expectation_is_reported_when_the_mock_is_dropped() {
    let message = panic_of(|| {
        let mut handler = MockEventHandler::new();
        handler.expect_room_created().times(1).returning(|_, _| Ok(Handled::Done));
    });
    assert!(message.contains("room_created") && message.contains("called 0 time(s)"), "{message}");
}

#[tokio::test]
async fn a_mounted_mock_is_checked_by_the_test_that_keeps_it() {
    let mut handler = MockEventHandler::new();
    handler.expect_room_created().times(1).returning(|_, _| Ok(Handled::Done));
    let handler = Arc::new(handler);
    let direct = Direct::builder(Handlers::new().plain("mock", handler.clone())).build().expect("built");
    let created = event::room_created();
    assert_eq!(direct.dispatch(created.received()).await.expect("taken"), Disposition::Handled);
    assert_eq!(direct.dispatch(created.received()).await.expect("taken"), Disposition::Duplicate);
    let error = direct.dispatch(event::room_destroyed().received()).await.expect_err("not expected");
    assert_eq!(error.retry_after(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_mock_store_returns_what_an_inbox_passes_on() {
    let mut store = MockEventStore::new();
    store
        .expect_accept()
        .times(1)
        .returning(|_| Err(StoreError::new(StoreErrorKind::Overloaded, "too much is waiting")));
    let inbox = Inbox::new(store);
    let error = inbox.dispatch(event::room_created().received()).await.expect_err("not taken");
    assert_eq!((error.to_string(), error.retry_after().as_secs()), ("too much is waiting".to_owned(), 1));
}
