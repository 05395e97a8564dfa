//! Of several handlers.

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
    let handlers = Handlers::new().plain("plain", plain.clone()).transactional("tx", transactional.clone());
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
