//! The dispatcher for tests: its results, its script, and the messages of its assertions.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jaas_core::event::{EventKind, RoomCreated};
use jaas_core::{
    Auth, Context, Disposition, EventHandler, Handled, HandlerError, HandlerResult, Receiver, Timestamp,
};
use jaas_testkit::{FakeDispatcher, MockEventHandler, Recorder, Signer, event};
use serde_json::json;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn panic_of<T>(run: impl FnOnce() -> T) -> String {
    let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(run)) else {
        panic!("it should have panicked")
    };
    *panic.downcast::<String>().expect("a message")
}

async fn panic_in<T>(run: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else { panic!("it should have panicked") };
    *panic.downcast::<String>().expect("a message")
}

#[tokio::test]
async fn a_receiver_passes_on_genuine_deliveries_only() {
    const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
    const SECRET: &str = "whsec_00000000000000000000000000000000";
    let fake = FakeDispatcher::recording();
    let auth = Auth::signature([SECRET]).expect("a good secret");
    let receiver = Receiver::builder("main", auth, fake.clone()).clock(|| NOW).build().expect("good");
    for secret in [SECRET, "whsec_of_another_endpoint"] {
        let request = event::room_created().signed(&Signer::new(secret).expect("good"), NOW);
        receiver.receive(request.credentials(), request.body.clone()).await;
    }
    fake.assert_received(EventKind::RoomCreated).times(1).answered(&[Some(Disposition::Stored)]);
    assert_eq!(fake.wait_for(1).await.len(), 1);
}

/// Writes the room, and then fails for rooms that end in `!`.
struct Rows;

#[async_trait]
impl EventHandler<Vec<String>> for Rows {
    async fn room_created(&self, cx: &mut Context<'_, Vec<String>>, _: &RoomCreated) -> HandlerResult {
        let (room, attempt) = (cx.envelope().fqn.room_key(), cx.attempt());
        cx.tx().push(format!("{room} {attempt}"));
        if room.ends_with('!') && attempt == 1 { Err("later".into()) } else { Ok(Handled::Done) }
    }
}

#[tokio::test]
async fn a_transactional_handler_runs_in_the_given_transaction_and_nothing_is_rolled_back() {
    let rows = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let fake = FakeDispatcher::running_in(Rows, rows.clone());
    let (math, art) = (event::room_created().in_room("math"), event::room_created().in_room("art!"));
    assert_eq!(fake.deliver(math.clone()).await, Ok(Disposition::Handled));
    assert_eq!(fake.deliver(math).await, Ok(Disposition::Duplicate));
    assert!(fake.deliver(art.clone()).await.is_err());
    fake.panic_next("a bug");
    assert!(fake.deliver(art.clone()).await.is_err());
    assert_eq!(fake.deliver(art).await, Ok(Disposition::Handled));
    assert!(matches!(fake.deliver(event::usage()).await, Ok(Disposition::Ignored)));
    assert_eq!(*rows.lock().await, ["math 1", "art! 1", "art! 3"]);
    fake.assert_received(EventKind::RoomCreated).times(5).events(2);
}

#[tokio::test]
async fn every_result_of_the_real_dispatchers_is_returned() {
    let created = event::room_created();
    let destroyed = event::room_destroyed().key(created.delivery().envelope.idempotency_key);
    let unreadable = event::room_created().without("eventType");
    let handler = Recorder::answering(|delivery| match delivery.envelope.kind {
        EventKind::Usage => Ok(Handled::ignored("not mine")),
        EventKind::Feedback => Err(HandlerError::permanent("no stars")),
        EventKind::PollCreated => Err(HandlerError::retry_after(SECOND, "later")),
        _ => Ok(Handled::Done),
    });
    for (fake, taken) in [
        (FakeDispatcher::recording(), Disposition::Stored),
        (FakeDispatcher::running(handler), Disposition::Handled),
    ] {
        assert_eq!(fake.deliver(created.clone()).await, Ok(taken));
        assert_eq!(fake.deliver(created.clone()).await, Ok(Disposition::Duplicate));
        assert_eq!(fake.deliver(destroyed.clone()).await, Ok(Disposition::Conflict));
        assert_eq!(fake.deliver(unreadable.clone()).await, Ok(Disposition::Quarantined));
        assert_eq!(fake.taken().len(), 1);
        if taken == Disposition::Handled {
            assert_eq!(fake.deliver(event::usage()).await, Ok(Disposition::Ignored));
            assert_eq!(fake.deliver(event::feedback()).await, Ok(Disposition::Failed));
            let later = fake.deliver(event::poll_created()).await.expect_err("later");
            assert_eq!((later.retry_after(), later.to_string().ends_with(": later")), (SECOND, true));
            assert_eq!(fake.arrivals()[5].failure.as_deref(), Some("no stars"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_refused_while_the_first_is_in_progress() {
    let fake = FakeDispatcher::running(Recorder::new());
    fake.delay_next(5 * SECOND);
    let (created, began) = (event::room_created(), Instant::now());
    let (first, second) = tokio::join!(fake.deliver(created.clone()), fake.deliver(created.clone()));
    assert_eq!(first, Ok(Disposition::Handled));
    assert!(second.expect_err("in progress").to_string().contains("another copy"));
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert_eq!(fake.deliver(created).await, Ok(Disposition::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn the_script_is_followed_run_by_run() {
    let recorder = Recorder::new();
    let fake = FakeDispatcher::running(recorder.clone());
    fake.fail_next("the disk is full").panic_next("boom").lose_next_answer().delay_next(2 * SECOND);
    let created = event::room_created();
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(fake.deliver(created.clone()).await.expect_err("as scripted").to_string());
    }
    assert!(errors[0].ends_with(": the disk is full"), "{errors:?}");
    assert!(errors[1].ends_with(": the handler panicked: boom"), "{errors:?}");
    assert!(errors[2].ends_with(": the response was lost, as scripted"), "{errors:?}");
    assert_eq!(recorder.seen().len(), 1);
    assert_eq!(fake.deliver(created.clone()).await, Ok(Disposition::Handled));
    let attempts: Vec<u32> = recorder.seen().iter().map(|seen| seen.delivery.attempt).collect();
    assert_eq!(attempts, [3, 4], "the handler was called twice, as after a crash");
    assert_eq!(fake.taken().len(), 2);
    fake.assert_received(&created).times(4).events(1).answered(&[
        None,
        None,
        None,
        Some(Disposition::Handled),
    ]);
}

#[tokio::test]
async fn without_a_handler_the_script_is_followed_delivery_by_delivery() {
    let fake = FakeDispatcher::recording();
    fake.fail_next("no").lose_next_answer().panic_next("boom");
    let created = event::room_created();
    assert!(fake.deliver(created.clone()).await.is_err());
    assert!(fake.taken().is_empty());
    assert!(fake.deliver(created.clone()).await.is_err());
    assert_eq!(fake.taken().len(), 1);
    assert_eq!(panic_in(fake.deliver(created.clone())).await, "boom");
    assert_eq!(fake.deliver(created).await, Ok(Disposition::Duplicate));
}

#[tokio::test]
async fn delivering_until_it_is_accepted_ends() {
    let fake = FakeDispatcher::running(Recorder::new());
    fake.fail_next("once").fail_next("twice");
    assert_eq!(fake.deliver_until_taken(event::room_created()).await, Disposition::Handled);
    assert_eq!(fake.arrivals().len(), 3);

    let fake = FakeDispatcher::running(MockEventHandler::new());
    let message = panic_in(fake.deliver_until_taken(event::room_created())).await;
    assert!(message.starts_with("not accepted 20 times; the last error:"), "{message}");
    assert!(message.contains("MockEventHandler::room_created("), "{message}");
    assert!(message.contains("doubles/fake.rs"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_hangs_up_is_seen_as_such() {
    let fake = FakeDispatcher::running(Recorder::new());
    drop(fake.deliver(event::room_created()));
    assert!(fake.arrivals().is_empty());
    fake.delay_next(SECOND);
    let deliver = Arc::new(fake.clone());
    assert!(deliver.deliver(event::room_created()).now_or_never().is_none());
    assert_eq!(fake.arrivals()[0].answer, None);
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_an_abandoned_run_is_not_reported_for_the_next() {
    let (fails, created) = (
        Recorder::answering(|delivery| match delivery.attempt {
            1 => Err("at first".into()),
            _ => Ok(Handled::Done),
        }),
        event::room_created(),
    );
    let fake = FakeDispatcher::running(fails);
    fake.delay_next(SECOND);
    assert!(fake.deliver(created.clone()).now_or_never().is_none());
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(fake.deliver(created).await, Ok(Disposition::Handled));
    assert_eq!(
        fake.arrivals().iter().map(|arrival| arrival.failure.clone()).collect::<Vec<_>>(),
        [None, None]
    );
}

#[tokio::test]
async fn a_failed_assertion_shows_what_came_and_how_the_nearest_differs() {
    let fake = FakeDispatcher::recording();
    let message = panic_of(|| fake.assert_received(EventKind::RoomCreated));
    assert_eq!(message, "ROOM_CREATED was not received\nnothing was received");

    for event in [
        event::room_created().key("k1").untyped(),
        event::participant_joined().key("k2").named("Grace").set("data.moderator", false).untyped(),
        event::participant_joined().key("k3").named("Grace").without("data.email").untyped(),
        event::participant_left().without("idempotencyKey").untyped(),
    ] {
        fake.deliver(event).await.expect("taken");
    }
    let wanted = json!({"eventType": "PARTICIPANT_JOINED", "data": {"name": "Ada", "moderator": true, "email": "a@b"}});
    let message = panic_of(|| fake.assert_received(wanted));
    let expected = [
        r#"{"data":{"email":"a@b","moderator":true,"name":"Ada"},"eventType":"PARTICIPANT_JOINED"} was not received"#,
        "received (4):",
        "  #1 ROOM_CREATED k1 to main: stored",
        "  #2 PARTICIPANT_JOINED k2 to main: stored",
        "  #3 PARTICIPANT_JOINED k3 to main: stored",
        "  #4 unreadable, `idempotencyKey` is missing or empty, to main: quarantined",
        "the nearest is #3, which differs:",
        r#"  data.email: wanted "a@b", but it is absent"#,
        r#"  data.name: wanted "Ada", was "Grace""#,
        "",
    ];
    assert_eq!(message, expected.join("\n"));

    for (message, wanted) in [
        (
            panic_of(|| fake.assert_received("ROOM_CREATED").times(2)),
            "ROOM_CREATED was received 1 times, not 2",
        ),
        (
            panic_of(|| fake.assert_received("PARTICIPANT_JOINED").events(1)),
            "PARTICIPANT_JOINED fits 2 events, not 1",
        ),
        (panic_of(|| fake.assert_not_received("ROOM_CREATED")), "ROOM_CREATED was received 1 times, not 0"),
        (
            panic_of(|| fake.assert_received("ROOM_CREATED").answered(&[None])),
            "ROOM_CREATED had the results [Some(Stored)], not [None]",
        ),
    ] {
        assert!(message.starts_with(wanted), "{message}");
    }
}

#[tokio::test]
async fn a_wanted_body_may_be_a_part_of_what_came() {
    let fake = FakeDispatcher::recording();
    let uploaded = event::recording_uploaded();
    fake.deliver(uploaded.clone()).await.expect("taken");
    fake.assert_received(&uploaded);
    fake.assert_received(json!({"data": {"participants": [{"id": "user-ada"}, {}], "nobody": null}}));
    for other in [
        json!({"data": {"participants": [{"id": "user-ada"}]}}),
        json!({"data": {"participants": {}}}),
        json!({"timestamp": null}),
        json!([]),
        uploaded.clone().fresh().json(),
    ] {
        fake.assert_not_received(other);
    }
    assert_eq!(fake.assert_received("RECORDING_UPLOADED").deliveries()[0].body(), &uploaded.body());
}

#[tokio::test]
async fn a_long_story_is_cut() {
    let fake = FakeDispatcher::recording();
    for _ in 0..30 {
        fake.deliver(event::room_created()).await.expect("taken");
    }
    let mut other = event::room_created().json();
    for number in 0..20 {
        other["data"][format!("f{number}")] = number.into();
    }
    let message = panic_of(|| fake.assert_received(other));
    assert!(message.contains("… and 10 more") && message.contains("… and in 13 more places"), "{message}");
}
