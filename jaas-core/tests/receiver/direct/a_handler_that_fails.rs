//! A handler that fails.

use super::*;

#[tokio::test]
async fn is_run_again_at_the_next_copy_with_the_next_attempt() {
    let recorder = answering([retry as fn() -> _, retry_in_a_minute]);
    let receiver = direct(recorder.clone());
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (503, unavailable(5)));
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.retry_after_secs(), reply), (Some(60), unavailable(60)));
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    let attempts: Vec<_> = recorder.seen().iter().map(|seen| seen.delivery.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test]
async fn permanently_gets_200_and_does_not_run_again() {
    let recorder = answering([permanent as fn() -> _]);
    let receiver = direct(recorder.clone());
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (200, FAILED));
    assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test]
async fn by_a_panic_is_run_again_at_the_next_copy() {
    let recorder = answering([panics as fn() -> _]);
    let receiver = direct(recorder.clone());
    let reply = deliver(&receiver, event("k-1")).await;
    assert_eq!((reply.status(), reply), (503, unavailable(5)));
    assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    assert_eq!(deliver(&receiver, event("k-2")).await, HANDLED);
    assert_eq!(recorder.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn to_end_in_time_is_aborted_and_runs_again_at_the_next_copy() {
    struct HangsOnce(AtomicUsize);
    #[async_trait]
    impl EventHandler for HangsOnce {
        async fn room_created(&self, _: &mut Context<'_>, _: &RoomCreated) -> HandlerResult {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                pending::<()>().await;
            }
            Ok(Handled::Done)
        }
    }

    let own = Duration::from_millis(200);
    for (limit, own) in [(None, None), (Some(Duration::from_millis(300)), None), (None, Some(own))] {
        let mut handlers = Handlers::new().plain("handler", HangsOnce(AtomicUsize::new(0)));
        if let Some(own) = own {
            handlers = handlers.timeout("handler", own);
        }
        let mut builder = Direct::builder(handlers);
        if let Some(limit) = limit {
            builder = builder.timeout(limit);
        }
        let receiver = receiver(built(builder));
        let start = Instant::now();
        assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
        assert_eq!(start.elapsed(), own.or(limit).unwrap_or(Duration::from_secs(8)));
        assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    }
}

#[test]
fn because_its_runtime_went_down_is_run_again_on_another() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let gate = Gate::new();
    let receiver = direct(AtGate(gate.clone()));
    let first = runtime();
    first.block_on(async {
        tokio::select! {
            biased;
            reply = deliver(&receiver, event("k-1")) => panic!("the gate is shut: {reply}"),
            () = gate.wait_for(1) => {}
        }
    });
    drop(first);
    gate.open(1);
    assert_eq!(runtime().block_on(deliver(&receiver, event("k-1"))), HANDLED);
    assert_eq!(gate.entered(), 2);
}

#[tokio::test]
async fn on_one_event_does_not_hold_up_others() {
    let recorder = Recorder::answering(|delivery| {
        if delivery.envelope.idempotency_key == "k-1" { retry() } else { Ok(Handled::Done) }
    });
    let receiver = direct(recorder);
    assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
    assert_eq!(deliver(&receiver, event("k-2")).await, HANDLED);
    assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
}
