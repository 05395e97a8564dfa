//! How often a worker asks the store for work.

use std::time::Duration;

use jaas_core::Handled;
use tokio::time::sleep;

use crate::worker::store::{Op, TestStore};
use crate::worker::world::{HOUR, SECOND, World};

#[tokio::test(start_paused = true)]
async fn events_that_finish_cause_no_claims_when_nothing_waits() {
    let world = World::new();
    let handler = world.acting(|delivery| async move {
        let number = delivery.envelope.idempotency_key.as_str().parse().expect("a number");
        sleep(Duration::from_secs(number)).await;
        Ok(Handled::Done)
    });
    for number in 1..=10 {
        world.arrives(&number.to_string(), None, 0).await;
    }
    let _worker = world.worker(&handler).build().expect("built").spawn();
    handler.wait_for(10).await;
    assert_eq!(world.store.calls(Op::Claim), 1);
    world.all_settled().await;
    assert_eq!(world.store.calls(Op::Claim), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_event_of_a_session_follows_without_a_claim() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(SECOND);
    world.arrives("first", Some("s"), 0).await;
    world.arrives("second", Some("s"), 1).await;
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.all_settled().await;
    assert_eq!(world.elapsed(), 2 * SECOND, "not at the next poll");
    sleep(SECOND).await;
    assert_eq!(world.store.calls(Op::Claim), 1, "and none after the last");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_is_claimed_again_when_it_is_due() {
    let world = World::over(TestStore::silent());
    let handler = world.returning(|delivery| match delivery.attempt {
        1 => Err(jaas_core::HandlerError::retry_after(10 * SECOND, "no")),
        _ => Ok(Handled::Done),
    });
    world.arrives("k", None, 0).await;
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!(world.elapsed(), 10 * SECOND);
    assert_eq!(world.store.calls(Op::Claim), 3, "one after the failure learns when it is due");
}

#[tokio::test(start_paused = true)]
async fn events_that_finish_together_are_followed_by_one_claim() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(SECOND);
    for number in 0..30 {
        world.arrives(&number.to_string(), None, 0).await;
    }
    let _worker = world.worker(&handler).concurrency(10).build().expect("built").spawn();
    world.all_settled().await;
    sleep(SECOND).await;
    let claims = world.store.calls(Op::Claim);
    assert!((3..=4).contains(&claims), "{claims} claims for three times ten events");
}

#[tokio::test(start_paused = true)]
async fn polls_are_spread_over_the_last_quarter_of_the_interval() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).poll_interval(100 * SECOND).build().expect("built").spawn();
    sleep(SECOND).await;
    let mut polled_at = Vec::new();
    while world.elapsed() < 2 * HOUR {
        let before = world.store.calls(Op::Claim);
        sleep(SECOND).await;
        if world.store.calls(Op::Claim) > before {
            polled_at.push(world.elapsed());
        }
    }
    let mut waits: Vec<Duration> = polled_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() > 70, "{} polls in two hours", waits.len());
    for wait in &waits {
        // They are looked at once per second.
        assert!(*wait >= 74 * SECOND && *wait <= 101 * SECOND, "{wait:?}");
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 5, "always the same: {waits:?}");
}
