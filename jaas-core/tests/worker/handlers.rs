//! Several handlers on one store.

use jaas_core::store::EventState;
use jaas_core::{Handled, HandlerError, Handlers};

use crate::worker::world::{Acting, SECOND, World};

pub(crate) fn handlers<'a>(named: impl IntoIterator<Item = (&'a str, &'a Acting)>) -> Handlers {
    named.into_iter().fold(Handlers::new(), |handlers, (name, handler)| handlers.plain(name, handler.clone()))
}

#[tokio::test(start_paused = true)]
async fn every_handler_sees_every_event() {
    let world = World::new();
    let (a, b) = (world.taking(SECOND), world.taking(SECOND));
    let _worker = world.worker_with(handlers([("a", &a), ("b", &b)])).build().expect("built").spawn();
    for key in ["k1", "k2", "k3"] {
        world.arrives(key, Some("s"), 0).await;
    }
    world.all_settled().await;
    assert_eq!(a.keys(), ["k1", "k2", "k3"]);
    assert_eq!(b.keys(), ["k1", "k2", "k3"]);
    assert_eq!(world.event("k1").await.completed, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn after_the_failure_of_one_handler_the_others_do_not_run_again() {
    let world = World::new();
    let well = world.returning(|_| Ok(Handled::Done));
    let failing = failing_once(&world);
    let named = [("before", &well), ("failing", &failing), ("after", &well)];
    let _worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.event_when("k", |event| event.failures == 1).await;
    assert_eq!((event.state, event.completed), (EventState::Waiting, vec!["before".into(), "after".into()]));
    world.is_done("k").await;
    assert_eq!((well.runs().len(), failing.runs().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_ignored_only_when_every_handler_ignores_it() {
    let world = World::new();
    let some = world.returning(|delivery| match delivery.envelope.idempotency_key.as_str() {
        "wanted" => Ok(Handled::Done),
        _ => Ok(Handled::ignored("not mine")),
    });
    let none = world.returning(|_| Ok(Handled::ignored("nothing to do")));
    let _worker =
        world.worker_with(handlers([("some", &some), ("none", &none)])).build().expect("built").spawn();
    world.arrives("wanted", None, 0).await;
    world.arrives("unwanted", None, 0).await;
    world.is_done("wanted").await;
    let event = world.settled("unwanted").await;
    assert_eq!(event.state, EventState::Ignored);
    assert_eq!(event.note.as_deref(), Some("nothing to do"));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_retried_as_long_as_one_handler_asks_for_it() {
    let world = World::new();
    let hopeless = world.returning(|_| Err(HandlerError::permanent("never")));
    let failing = failing_once(&world);
    let named = [("hopeless", &hopeless), ("failing", &failing)];
    let _worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.event_when("k", |event| event.failures == 1).await;
    assert_eq!(event.state, EventState::Waiting);
    assert_eq!(event.note.as_deref(), Some("hopeless: never; failing: not yet"));
    let event = world.settled("k").await;
    assert_eq!((event.state, event.completed), (EventState::Dead, vec!["failing".into()]));
    assert_eq!((hopeless.runs().len(), failing.runs().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_handler_added_between_attempts_runs_and_those_that_are_done_do_not() {
    let world = World::new();
    let (done, added) = (world.returning(|_| Ok(Handled::Done)), world.returning(|_| Ok(Handled::Done)));
    let failing = failing_once(&world);
    let worker =
        world.worker_with(handlers([("done", &done), ("failing", &failing)])).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.event_when("k", |event| event.failures == 1).await;
    worker.stop(SECOND).await;

    let named = [("added", &added), ("done", &done), ("failing", &failing)];
    let _worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!((done.runs().len(), failing.runs().len(), added.runs().len()), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_renamed_between_attempts_runs_again() {
    let world = World::new();
    let renamed = world.returning(|_| Ok(Handled::Done));
    let failing = failing_once(&world);
    let named = [("old name", &renamed), ("failing", &failing)];
    let worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.event_when("k", |event| event.failures == 1).await;
    worker.stop(SECOND).await;

    let named = [("new name", &renamed), ("failing", &failing)];
    let _worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!(renamed.runs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_failing_handler_was_removed_is_done() {
    let world = World::new();
    let done = world.returning(|_| Ok(Handled::Done));
    let failing = failing_once(&world);
    let worker =
        world.worker_with(handlers([("done", &done), ("failing", &failing)])).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.event_when("k", |event| event.failures == 1).await;
    worker.stop(SECOND).await;

    let _worker = world.worker_with(handlers([("done", &done)])).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!((done.runs().len(), failing.runs().len()), (1, 1));
}

/// A handler that fails on the first attempt.
fn failing_once(world: &World) -> Acting {
    world.returning(|delivery| match delivery.attempt {
        1 => Err("not yet".into()),
        _ => Ok(Handled::Done),
    })
}
