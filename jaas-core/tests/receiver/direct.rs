//! Handlers called inside the request: what is returned, what is remembered, what runs again.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{EventKind, RoomCreated};
use jaas_core::{
    Auth, Context, Direct, DirectBuilder, Disposition, EventHandler, Handled, HandlerError, HandlerResult,
    Handlers, Receiver, Reply,
};
use jaas_testkit::{Recorder, fixture};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Gate, NOW, SECRET, another_body, deliver, event, receiver};

const HANDLED: Reply = Reply::Received(Disposition::Handled);
const IGNORED: Reply = Reply::Received(Disposition::Ignored);
const FAILED: Reply = Reply::Received(Disposition::Failed);
const DUPLICATE: Reply = Reply::Received(Disposition::Duplicate);
const CONFLICT: Reply = Reply::Received(Disposition::Conflict);

fn unavailable(secs: u64) -> Reply {
    Reply::Unavailable { retry_after: Duration::from_secs(secs) }
}

fn builder(handler: impl EventHandler) -> DirectBuilder {
    Direct::builder(Handlers::new().plain("handler", handler))
}

fn built(builder: DirectBuilder) -> Arc<Direct> {
    Arc::new(builder.build().expect("a good configuration"))
}

/// A receiver in front of one handler.
fn direct(handler: impl EventHandler) -> Receiver {
    receiver(built(builder(handler)))
}

/// A handler that waits at a gate whenever a room is created.
struct AtGate(Arc<Gate>);

#[async_trait]
impl EventHandler for AtGate {
    async fn room_created(&self, _: &mut Context<'_>, _: &RoomCreated) -> HandlerResult {
        self.0.pass().await;
        Ok(Handled::Done)
    }
}

/// A recorder that returns `answers` one after another, then that the work is done.
fn answering(answers: impl IntoIterator<Item = fn() -> HandlerResult>) -> Recorder {
    let answers: Vec<_> = answers.into_iter().collect();
    let calls = AtomicUsize::new(0);
    Recorder::answering(move |_| match answers.get(calls.fetch_add(1, Ordering::SeqCst)) {
        Some(answer) => answer(),
        None => Ok(Handled::Done),
    })
}

fn retry() -> HandlerResult {
    Err(HandlerError::retry("the calendar is away"))
}

fn retry_in_a_minute() -> HandlerResult {
    Err(HandlerError::retry_after(Duration::from_secs(60), "the calendar is being moved"))
}

fn permanent() -> HandlerResult {
    Err(HandlerError::permanent("there is no such room"))
}

fn ignored() -> HandlerResult {
    Ok(Handled::ignored("not our room"))
}

fn panics() -> HandlerResult {
    panic!("on purpose")
}

/// Delivers in a separate task.
fn spawn(receiver: &Arc<Receiver>, key: &'static str) -> JoinHandle<Reply> {
    let receiver = receiver.clone();
    tokio::spawn(async move { deliver(&receiver, event(key)).await })
}

mod an_event_is_handled_once {
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
            let receiver =
                Receiver::builder(endpoint, auth, direct.clone()).clock(|| NOW).build().expect("good");
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
}

mod a_handler_that_fails {
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
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
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
}

mod of_several_handlers {
    use super::*;

    fn two(first: &Recorder, second: &Recorder) -> Receiver {
        let handlers = Handlers::new().plain("first", first.clone()).plain("second", second.clone());
        receiver(built(Direct::builder(handlers)))
    }

    #[tokio::test]
    async fn the_one_that_succeeded_is_not_run_again_when_the_other_failed() {
        for failure in [retry as fn() -> _, panics] {
            let (good, bad) = (Recorder::new(), answering([failure, failure]));
            let receiver = two(&good, &bad);
            assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
            assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
            assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
            assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
            assert_eq!((good.seen().len(), bad.seen().len()), (1, 3));
        }
    }

    #[tokio::test]
    async fn one_for_the_transaction_of_a_store_without_any_is_run_like_the_others() {
        let (plain, transactional) = (Recorder::new(), answering([retry as fn() -> _]));
        let handlers =
            Handlers::new().plain("plain", plain.clone()).transactional("tx", transactional.clone());
        let receiver = receiver(built(Direct::builder(handlers)));
        assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
        assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
        assert_eq!((plain.seen().len(), transactional.seen().len()), (1, 2));
    }

    #[tokio::test]
    async fn a_later_one_is_run_although_an_earlier_one_failed() {
        for failure in [retry as fn() -> _, panics, permanent] {
            let (bad, good) = (answering([failure]), Recorder::new());
            deliver(&two(&bad, &good), event("k-1")).await;
            assert_eq!((bad.seen().len(), good.seen().len()), (1, 1));
        }
    }

    #[tokio::test]
    async fn the_longest_wait_that_one_asks_for_is_passed_on() {
        let receiver = two(&answering([retry_in_a_minute as fn() -> _]), &answering([retry as fn() -> _]));
        assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(60));
        assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
    }

    #[tokio::test]
    async fn one_that_wants_a_retry_outweighs_a_permanent_failure() {
        let (gave_up, retries) =
            (answering([permanent as fn() -> _, permanent]), answering([retry as fn() -> _]));
        let receiver = two(&gave_up, &retries);
        assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
        assert_eq!(deliver(&receiver, event("k-1")).await, FAILED);
        assert_eq!(deliver(&receiver, event("k-1")).await, DUPLICATE);
    }

    #[tokio::test]
    async fn one_that_did_something_makes_the_event_handled() {
        let (does, ignores) = (Recorder::new(), answering([ignored as fn() -> _]));
        assert_eq!(deliver(&two(&does, &ignores), event("k-1")).await, HANDLED);
        let (ignores, too) = (answering([ignored as fn() -> _]), answering([ignored as fn() -> _]));
        assert_eq!(deliver(&two(&ignores, &too), event("k-1")).await, IGNORED);
    }

    #[tokio::test]
    async fn one_that_did_something_in_an_earlier_attempt_makes_the_event_handled() {
        let (does, retries) = (Recorder::new(), answering([retry as fn() -> _, ignored]));
        let receiver = two(&does, &retries);
        assert_eq!(deliver(&receiver, event("k-1")).await, unavailable(5));
        assert_eq!(deliver(&receiver, event("k-1")).await, HANDLED);
        assert_eq!((does.seen().len(), retries.seen().len()), (1, 2));
    }
}

mod a_sender_that_hangs_up {
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
}

mod limits {
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
}

mod finish {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_running_handlers_at_most_the_grace() {
        let gate = Gate::new();
        let direct = built(builder(AtGate(gate.clone())).timeout(Duration::from_secs(3600)));
        let receiver = Arc::new(receiver(direct.clone()));
        let first = spawn(&receiver, "k-1");
        gate.wait_for(1).await;
        receiver.close();

        let start = Instant::now();
        assert!(!direct.finish(Duration::from_secs(3)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(3));

        gate.open(1);
        assert!(direct.finish(Duration::from_secs(3)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert_eq!(first.await.expect("no panic"), HANDLED);
    }

    #[tokio::test(start_paused = true)]
    async fn has_nothing_to_wait_for_when_nothing_runs() {
        let start = Instant::now();
        assert!(built(builder(Recorder::new())).finish(Duration::from_secs(3)).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

mod a_configuration_that_cannot_work_is_refused {
    use super::*;

    fn refusal(builder: DirectBuilder) -> String {
        builder.build().expect_err("a bad configuration").to_string()
    }

    #[test]
    fn without_a_handler() {
        assert!(refusal(Direct::builder(Handlers::new())).contains("no handler"));
    }

    #[test]
    fn with_two_handlers_of_one_name_or_one_without_a_name() {
        let handlers = |first: &str, second: &str| {
            Direct::builder(Handlers::new().plain(first, Recorder::new()).plain(second, Recorder::new()))
        };
        assert!(refusal(handlers("audit", "audit")).contains("\"audit\""));
        for name in ["", " ", "two\nlines"] {
            assert!(refusal(handlers("audit", name)).contains("name"), "{name:?}");
        }
        assert!(handlers("audit", "Audit").build().is_ok());
    }

    #[test]
    fn with_a_timeout_or_bound_of_zero() {
        for builder in [
            builder(Recorder::new()).capacity(0),
            builder(Recorder::new()).concurrency(0),
            builder(Recorder::new()).timeout(Duration::ZERO),
        ] {
            assert!(refusal(builder).contains("zero"));
        }
    }
}
