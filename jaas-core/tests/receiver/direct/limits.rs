//! Limits.

use super::*;

#[tokio::test]
async fn more_than_may_run_concurrently_get_503_until_one_has_ended() {
    let gate = Gate::new();
    let receiver = Arc::new(receiver(built(builder(AtGate(gate.clone())).concurrency(2))));
    let (first, second) = (spawn(&receiver, "k-1"), spawn(&receiver, "k-2"));
    gate.wait_for(2).await;
    let reply = deliver(&receiver, event("k-3")).await;
    assert_eq!((reply.status(), reply, gate.entered()), (503, unavailable(1), 2));

    gate.open(3);
    for task in [first, second] {
        assert_eq!(task.await.expect("no panic"), HANDLED);
    }
    assert_eq!(deliver(&receiver, event("k-3")).await, HANDLED);
}

#[tokio::test]
async fn a_handler_whose_sender_hung_up_still_counts_as_running() {
    let gate = Gate::new();
    let direct = built(builder(AtGate(gate.clone())).concurrency(1));
    let receiver = receiver(direct.clone());
    tokio::select! {
        biased;
        reply = deliver(&receiver, event("k-1")) => panic!("the gate is shut: {reply}"),
        () = gate.wait_for(1) => {}
    }
    assert_eq!(deliver(&receiver, event("k-2")).await, unavailable(1));
    gate.open(2);
    assert!(direct.finish(Duration::from_secs(60)).await);
    assert_eq!(deliver(&receiver, event("k-2")).await, HANDLED);
}

#[tokio::test]
async fn the_last_64_bodies_without_an_envelope_can_be_inspected() {
    let recorder = Recorder::new();
    let direct = built(builder(recorder.clone()));
    let receiver = receiver(direct.clone());
    assert!(direct.quarantined().is_empty());
    let body = |n: usize| format!("unreadable {n}");
    for n in 0..70 {
        let reply = deliver(&receiver, body(n)).await;
        assert_eq!((reply.status(), reply), (200, Reply::Received(Disposition::Quarantined)));
    }
    let kept = direct.quarantined();
    let bodies: Vec<_> = kept.iter().map(|unreadable| unreadable.body().clone()).collect();
    assert_eq!(bodies, (6..70).map(body).collect::<Vec<_>>());
    for unreadable in kept {
        assert_eq!((&*unreadable.endpoint, unreadable.received_at), ("main", NOW));
        assert_eq!(unreadable.reason.to_string(), "the body is not a JSON object");
    }
    assert!(recorder.seen().is_empty());
}
