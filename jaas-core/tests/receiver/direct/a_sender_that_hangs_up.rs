//! A sender that hangs up.

use super::*;

/// Starts a delivery, hangs up while its handler is at the gate.
async fn hang_up(receiver: &Receiver, gate: &Gate) {
    let entered = gate.entered() + 1;
    tokio::select! {
        biased;
        reply = deliver(receiver, event("k-1")) => panic!("the gate is shut: {reply}"),
        () = gate.wait_for(entered) => {}
    }
}

#[tokio::test]
async fn does_not_abort_the_handler() {
    let gate = Gate::new();
    let direct = built(builder(AtGate(gate.clone())));
    let receiver = receiver(direct.clone());
    hang_up(&receiver, &gate).await;

    assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
    assert_eq!(gate.entered(), 1);

    gate.open(1);
    assert!(direct.finish(Duration::from_secs(60)).await);
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    assert_eq!(gate.entered(), 1);
}

#[tokio::test]
async fn finds_the_failure_of_its_handler_at_the_next_copy() {
    struct FailsAtGate(Arc<Gate>, Recorder);
    #[async_trait]
    impl EventHandler for FailsAtGate {
        async fn room_created(&self, cx: &mut Context<'_>, event: &RoomCreated) -> HandlerResult {
            self.0.pass().await;
            self.1.room_created(cx, event).await
        }
    }

    let (gate, recorder) = (Gate::new(), answering([retry as fn() -> _]));
    let direct = built(builder(FailsAtGate(gate.clone(), recorder.clone())));
    let receiver = receiver(direct.clone());
    hang_up(&receiver, &gate).await;
    gate.open(2);
    assert!(direct.finish(Duration::from_secs(60)).await);

    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    let attempts: Vec<_> = recorder.seen().iter().map(|seen| seen.delivery.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn or_a_receiver_that_times_out_first_does_not_free_the_key() {
    let gate = Gate::new();
    let direct = built(builder(AtGate(gate.clone())).timeout(Duration::from_secs(30)));
    let receiver = receiver(direct.clone());
    // The receiver's own timeout of 10 s ends before the handler's.
    assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
    assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
    assert_eq!(gate.entered(), 1);
    gate.open(1);
    assert!(direct.finish(Duration::from_secs(60)).await);
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
}
