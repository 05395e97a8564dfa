//! Deliveries that cannot be accepted now get 503.

use super::*;

#[tokio::test]
async fn when_the_dispatcher_fails_with_the_wait_it_asks_for() {
    let probe = Probe::new(Then::Fail);
    let reply = deliver(&receiver(probe.clone()), event("k-1")).await;
    assert_eq!(reply.retry_after_secs(), Some(7));
    assert_eq!((reply.status(), reply), (503, unavailable(7)));
    assert_eq!(probe.calls(), 1);
}

#[tokio::test]
async fn when_the_store_is_full_and_nothing_is_acknowledged_that_was_not_stored() {
    let store = Arc::new(MemoryStore::with_capacity(1));
    let receiver = receiver(Inbox::new(store.clone()));
    assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Stored));
    let reply = deliver(&receiver, event("k-2")).await;
    assert_eq!((reply.status(), reply), (503, unavailable(1)));
    assert_eq!(deliver(&receiver, event("k-1")).await, received(Disposition::Duplicate));
    assert_eq!(waiting(&store).await, 1);
}

/// Accepts nothing until the test lets it.
struct Takes(Arc<AtomicBool>);

#[async_trait]
impl Dispatcher for Takes {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        if self.0.load(Ordering::Relaxed) {
            return Ok(Disposition::Stored);
        }
        Err(DispatchError::new(DispatchErrorKind::Unavailable, "the table is locked", Duration::from_secs(5)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_refuses_after_twenty_refusals_in_a_row_and_is_tried_again() {
    let takes = Arc::new(AtomicBool::new(false));
    let receiver = receiver(Takes(takes.clone()));
    for number in 0..19 {
        assert_eq!(deliver(&receiver, event(&format!("k{number}"))).await.status(), 503);
        assert!(!receiver.is_refusing(), "after {number}");
    }
    // A delivery that the dispatcher has not seen does not count.
    receiver.receive(Credentials::default(), event("k")).await;
    assert!(!receiver.is_refusing());
    deliver(&receiver, event("k19")).await;
    assert!(receiver.is_refusing());

    takes.store(true, Ordering::Relaxed);
    assert_eq!(deliver(&receiver, event("k20")).await.status(), 200);
    assert!(!receiver.is_refusing(), "the first accepted delivery ends it");

    takes.store(false, Ordering::Relaxed);
    for _ in 0..20 {
        deliver(&receiver, event("k21")).await;
    }
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(receiver.is_refusing());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!receiver.is_refusing(), "when no more come, it is tried again");
    deliver(&receiver, event("k22")).await;
    assert!(receiver.is_refusing(), "and one more refusal is enough");
}

#[tokio::test(start_paused = true)]
async fn when_the_dispatcher_hangs_at_its_timeout() {
    let probe = Probe::new(Then::Wait(Gate::new()));
    for limit in [Duration::from_secs(10), Duration::from_millis(250)] {
        let auth = Auth::signature([SECRET]).expect("good");
        let mut builder = Receiver::builder("main", auth, probe.clone()).clock(|| NOW).max_in_flight(1);
        if limit != Duration::from_secs(10) {
            builder = builder.timeout(limit);
        }
        let receiver = builder.build().expect("good");
        // The second time shows that the place of the first one was released.
        for _ in 0..2 {
            let start = Instant::now();
            assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
            assert_eq!(start.elapsed(), limit);
        }
    }
    assert_eq!(probe.calls(), 4);
}

#[tokio::test]
async fn when_too_many_are_in_flight_until_one_of_them_ends() {
    let gate = Gate::new();
    let probe = Probe::new(Then::Wait(gate.clone()));
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver = Receiver::builder("main", auth, probe.clone())
        .clock(|| NOW)
        .max_in_flight(2)
        .build()
        .map(Arc::new)
        .expect("good");
    let spawn = |key: &'static str| {
        let receiver = receiver.clone();
        tokio::spawn(async move { deliver(&receiver, event(key)).await })
    };
    let (first, second) = (spawn("k-1"), spawn("k-2"));
    gate.wait_for(2).await;
    let reply = deliver(&receiver, event("k-3")).await;
    assert_eq!((reply.status(), reply), (503, unavailable(1)));
    assert_eq!((gate.entered(), probe.calls()), (2, 2));

    gate.open(2);
    for task in [first, second] {
        assert_eq!(task.await.expect("no panic"), received(Disposition::Stored));
    }
    gate.open(1);
    assert_eq!(deliver(&receiver, event("k-3")).await, received(Disposition::Stored));
}

#[tokio::test]
async fn a_sender_that_hangs_up_gives_its_place_back() {
    let gate = Gate::new();
    let probe = Probe::new(Then::Wait(gate.clone()));
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver =
        Receiver::builder("main", auth, probe).clock(|| NOW).max_in_flight(1).build().expect("good");
    tokio::select! {
        biased;
        reply = deliver(&receiver, event("k-1")) => panic!("the gate is shut: {reply}"),
        () = gate.wait_for(1) => {}
    }
    gate.open(1);
    assert_eq!(deliver(&receiver, event("k-2")).await, received(Disposition::Stored));
}

#[tokio::test]
async fn after_close_even_a_genuine_delivery() {
    let probe = Probe::new(Then::Take);
    let receiver = receiver(probe.clone());
    assert!(!receiver.is_closed());
    receiver.close();
    assert!(receiver.is_closed());
    for request in [signed(event("k-1")), signed("unreadable")] {
        let reply = receiver.receive(request.credentials(), request.body.clone()).await;
        assert_eq!((reply.status(), reply), (503, unavailable(5)));
    }
    let forged = receiver.receive(Credentials::default(), event("k-1")).await;
    assert_eq!((forged, probe.calls()), (unavailable(5), 0));
}

#[tokio::test]
async fn but_a_delivery_in_flight_at_close_gets_its_own_result() {
    let gate = Gate::new();
    let receiver = Arc::new(receiver(Probe::new(Then::Wait(gate.clone()))));
    let task = tokio::spawn({
        let receiver = receiver.clone();
        async move { deliver(&receiver, event("k-1")).await }
    });
    gate.wait_for(1).await;
    receiver.close();
    gate.open(1);
    assert_eq!(task.await.expect("no panic"), received(Disposition::Stored));
}
