//! Properties of every interleaving.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jaas_core::Handled;
use jaas_core::store::{Accepted, EventAdmin, EventQuery, EventState};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::worker::world::{HOUR, World};

/// One delivery on its way.
#[derive(Debug, Clone)]
struct Arrival {
    key: usize,
    /// When it arrives, in ms after the worker started; `None` when it was there before.
    late: Option<u64>,
}

/// One event, which may be delivered several times.
#[derive(Debug, Clone)]
struct Script {
    session: Option<u8>,
    happened: i64,
    /// How often its handler fails; less often than holds a session back.
    failures: u32,
    takes: u64,
}

#[derive(Debug, Clone)]
struct Case {
    events: Vec<Script>,
    arrivals: Vec<Arrival>,
    workers: usize,
    concurrency: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let session = prop_oneof![1 => Just(None), 5 => (0..3_u8).prop_map(Some)];
    let script = (session, 0..20_i64, 0..3_u32, 0..3000_u64)
        .prop_map(|(session, happened, failures, takes)| Script { session, happened, failures, takes });
    prop::collection::vec(script, 1..=12).prop_flat_map(|events| {
        let late = || prop::option::of(0..10_000_u64);
        let once: Vec<usize> = (0..events.len()).collect();
        let again = prop::collection::vec(0..events.len(), 0..4);
        let keys = again.prop_map(move |again| [once.clone(), again].concat()).prop_shuffle();
        let arrivals = keys.prop_flat_map(move |keys| {
            let times = prop::collection::vec(late(), keys.len());
            times.prop_map(move |times| {
                keys.iter().zip(times).map(|(key, late)| Arrival { key: *key, late }).collect::<Vec<_>>()
            })
        });
        (Just(events), arrivals, 1..=2_usize, 1..=4_usize).prop_map(
            |(events, arrivals, workers, concurrency)| Case { events, arrivals, workers, concurrency },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_handled_once_and_sessions_keep_their_order(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(holds(case))?;
    }
}

async fn holds(case: Case) -> Result<(), TestCaseError> {
    let world = World::new();
    let scripts = case.events.clone();
    let handler = world.acting(move |delivery| {
        let script = scripts[number_of(delivery.envelope.idempotency_key.as_str())].clone();
        async move {
            sleep(Duration::from_millis(script.takes)).await;
            match delivery.attempt {
                attempt if attempt <= script.failures => Err("not yet".into()),
                _ => Ok(Handled::Done),
            }
        }
    });

    let mut arrivals = case.arrivals.clone();
    arrivals.sort_by_key(|arrival| arrival.late);
    let mut accepted: Vec<usize> = Vec::new();
    let (before, after) = arrivals.split_at(arrivals.partition_point(|arrival| arrival.late.is_none()));
    for arrival in before {
        arrives(&world, &case, arrival.key, &mut accepted).await;
    }
    let present = accepted.clone();
    let worker = || world.worker(&handler).concurrency(case.concurrency).build().expect("built").spawn();
    let _workers: Vec<_> = (0..case.workers).map(|_| worker()).collect();
    for arrival in after {
        sleep(Duration::from_millis(arrival.late.unwrap_or(0)).saturating_sub(world.elapsed())).await;
        arrives(&world, &case, arrival.key, &mut accepted).await;
    }
    world.all_settled().await;
    prop_assert!(world.elapsed() < HOUR, "without waiting for a poll");

    let mut successes: HashMap<usize, usize> = HashMap::new();
    let runs = handler.runs();
    for run in &runs {
        let number = number_of(&run.key);
        let failures = case.events[number].failures;
        prop_assert!(run.attempt <= failures + 1, "{} ran after it had succeeded", run.key);
        *successes.entry(number).or_default() += usize::from(run.attempt == failures + 1);
    }
    let all: BTreeSet<usize> = (0..case.events.len()).collect();
    prop_assert_eq!(successes.keys().copied().collect::<BTreeSet<_>>(), all);
    prop_assert!(successes.values().all(|count| *count == 1), "once each: {:?}", successes);

    let stored = world.store.events(&EventQuery::default()).await.expect("listed").items;
    prop_assert_eq!(stored.len(), case.events.len());
    for event in stored {
        let script = &case.events[number_of(event.idempotency_key.as_str())];
        prop_assert_eq!((event.state, event.failures, event.crashes), (EventState::Done, script.failures, 0));
    }

    for session in 0..3 {
        let of_session = |number: &usize| case.events[*number].session == Some(session);
        let mut expected: Vec<usize> = present.iter().copied().filter(of_session).collect();
        expected.sort_by_key(|number| case.events[*number].happened);
        let done: Vec<usize> = runs
            .iter()
            .map(|run| (number_of(&run.key), run.attempt))
            .filter(|(number, attempt)| {
                expected.contains(number) && *attempt == case.events[*number].failures + 1
            })
            .map(|(number, _)| number)
            .collect();
        prop_assert_eq!(done, expected, "in session {}", session);
    }
    Ok(())
}

async fn arrives(world: &World, case: &Case, number: usize, accepted: &mut Vec<usize>) {
    let Script { session, happened, .. } = case.events[number];
    let session = session.map_or("null".to_owned(), |session| format!(r#""s{session}""#));
    let timestamp = crate::worker::world::START.as_millis() + happened;
    let body = format!(
        r#"{{"idempotencyKey":"{number}","eventType":"PARTICIPANT_JOINED","sessionId":{session},"timestamp":{timestamp},"data":{{}}}}"#
    );
    if accepted.contains(&number) {
        assert_eq!(world.accepts(&body).await, Accepted::Duplicate);
    } else {
        assert_eq!(world.accepts(&body).await, Accepted::New);
        accepted.push(number);
    }
}

fn number_of(key: &str) -> usize {
    key.parse().expect("a number")
}
