//! An event is handled once.

use super::*;

#[tokio::test]
async fn every_fixture_is_handled_by_its_own_method_with_200() {
    let recorder = Recorder::new();
    let receiver = direct(recorder.clone());
    for fixture in fixture::EVENTS {
        let reply = deliver(&receiver, fixture.body).await;
        assert_eq!((reply.status(), reply), (200, HANDLED), "{}", fixture.name);
    }
    let seen = recorder.seen();
    assert_eq!(seen.iter().map(|seen| seen.method).collect::<Vec<_>>(), EventKind::ALL);
    for seen in seen {
        assert_eq!((seen.delivery.attempt, seen.delivery.received_at), (1, NOW));
        assert_eq!(&*seen.delivery.endpoint, "main");
    }
}

#[tokio::test]
async fn an_event_that_no_handler_implements_is_ignored_and_its_copy_is_a_duplicate() {
    struct Nothing;
    impl EventHandler for Nothing {}

    let receiver = direct(Nothing);
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (200, IGNORED));
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
}

#[tokio::test]
async fn a_second_copy_is_a_duplicate_and_the_handler_ran_once() {
    let recorder = Recorder::new();
    let receiver = direct(recorder.clone());
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    for _ in 0..3 {
        let reply = deliver(&receiver, event("k-1")).await;
        assert_eq!((reply.status(), reply), (200, DUPLICATE));
    }
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test]
async fn a_copy_while_the_first_still_runs_gets_503_and_is_a_duplicate_afterwards() {
    let gate = Gate::new();
    let receiver = Arc::new(direct(AtGate(gate.clone())));
    let first = spawn(&receiver, "k-1");
    gate.wait_for(1).await;

    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (503, unavailable(5)));
    assert_eq!(gate.entered(), 1);

    gate.open(1);
    assert_eq!(first.await.expect("no panic"), HANDLED);
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    assert_eq!(gate.entered(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_identical_concurrent_deliveries_one_runs_the_handler() {
    let recorder = Recorder::new();
    let receiver = Arc::new(direct(recorder.clone()));
    let tasks: Vec<_> = (0..64).map(|_| spawn(&receiver, "k-1")).collect();
    let mut handled = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            HANDLED => handled += 1,
            other => assert!([DUPLICATE, unavailable(5)].contains(&other), "{other}"),
        }
    }
    assert_eq!((handled, recorder.seen().len()), (1, 1));
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_conflict_and_is_not_handled() {
    let recorder = Recorder::new();
    let receiver = direct(recorder.clone());
    deliver(&receiver, event("k-1")).await;
    let reply = deliver(&receiver, another_body("k-1")).await;
    assert_eq!((reply.status(), reply), (200, CONFLICT));
    assert_eq!(recorder.seen().len(), 1);
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
}

#[tokio::test]
async fn another_body_is_a_conflict_also_while_the_first_runs_and_before_its_retry() {
    let gate = Gate::new();
    let receiver = Arc::new(direct(AtGate(gate.clone())));
    let first = spawn(&receiver, "k-1");
    gate.wait_for(1).await;
    assert_eq!(deliver(&receiver, another_body("k-1")).await, CONFLICT);
    gate.open(1);
    assert_eq!(first.await.expect("no panic"), HANDLED);

    let receiver = direct(answering([retry as fn() -> _]));
    deliver(&receiver, event("k-1")).await;
    assert_eq!(deliver(&receiver, another_body("k-1")).await, CONFLICT);
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
}

#[tokio::test]
async fn two_endpoints_over_one_dispatcher_are_handled_independently() {
    let recorder = Recorder::new();
    let direct = built(builder(recorder.clone()));
    for endpoint in ["main", "test"] {
        let auth = Auth::signature([SECRET]).expect("good");
        let receiver = Receiver::builder(endpoint, auth, direct.clone()).clock(|| NOW).build().expect("good");
        assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED, "{endpoint}");
        assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE, "{endpoint}");
    }
    assert_eq!(recorder.seen().len(), 2);
}

#[tokio::test]
async fn the_latest_keys_are_remembered_and_older_ones_are_handled_again() {
    let recorder = Recorder::new();
    let receiver = receiver(built(builder(recorder.clone()).capacity(2)));
    for key in ["k-1", "k-2", "k-3", "k-4", "k-5"] {
        assert_eq!(deliver(&receiver, event(key)).await, HANDLED);
    }
    assert_eq!(deliver(&receiver, event("k-5")).await, DUPLICATE);
    assert_eq!(deliver(&receiver, event("k-4")).await, DUPLICATE);
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    assert_eq!(recorder.seen().len(), 6);
}

#[tokio::test]
async fn retries_of_one_event_do_not_push_another_out_of_memory() {
    let recorder = Recorder::answering(|delivery| {
        if delivery.envelope.idempotency_key == "failing" { retry() } else { Ok(Handled::Done) }
    });
    let receiver = receiver(built(builder(recorder).capacity(1)));
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    for _ in 0..5 {
        assert_eq!(deliver(&receiver, event("failing")).await, unavailable(5));
        assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    }
}
