//! An inbox and a worker on a store that fails all day: nothing is lost, nothing is doubled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::{EventAdmin as _, EventQuery, EventState, MemoryStore};
use jaas_core::{
    Backoff, Context, Dispatcher as _, Disposition, EventHandler, Handled, HandlerResult, Handlers, Inbox,
    Timestamp, Worker,
};
use jaas_testkit::event::{self, EventBuilder};
use jaas_testkit::{Faults, FaultyStore, Op, TokioClock};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const START: Timestamp = Timestamp::from_secs(1_795_420_800);
const SECOND: Duration = Duration::from_secs(1);
const EVENTS: usize = 40;

/// Takes a while, fails at first for every fifth event, and remembers what it did.
#[derive(Clone, Default)]
struct Attendance {
    done: Arc<Mutex<BTreeMap<String, usize>>>,
}

#[async_trait]
impl EventHandler for Attendance {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let key = cx.envelope().idempotency_key.to_string();
        let number = number_of(&key);
        // Every seventh takes longer than a lease.
        sleep(if number.is_multiple_of(7) {
            20 * SECOND
        } else {
            Duration::from_millis(number as u64 * 37 % 1900)
        })
        .await;
        let already = self.done.lock().expect("unpoisoned").get(&key).copied();
        if number.is_multiple_of(5) && already.is_none() && !self.failed_before(&key) {
            return Err("not at first".into());
        }
        *self.done.lock().expect("unpoisoned").entry(key).or_default() += 1;
        Ok(Handled::Done)
    }
}

impl Attendance {
    /// Whether the key has failed before; from now on it has.
    fn failed_before(&self, key: &str) -> bool {
        let mark = format!("failed {key}");
        self.done.lock().expect("unpoisoned").insert(mark, 0).is_some()
    }

    fn successes(&self) -> BTreeMap<String, usize> {
        let done = self.done.lock().expect("unpoisoned");
        done.iter().filter(|(_, times)| **times > 0).map(|(key, times)| (key.clone(), *times)).collect()
    }
}

fn number_of(key: &str) -> usize {
    key.trim_start_matches("k").parse().expect("a number")
}

/// Forty events of four sessions, and some of none.
fn events() -> Vec<EventBuilder> {
    let event = |number: usize| {
        let event =
            event::participant_joined().key(format!("k{number}")).at(START).later(SECOND * number as u32);
        match number % 5 {
            0 => event.without("sessionId"),
            sitting => event.in_session(format!("s{sitting}")),
        }
    };
    (0..EVENTS).map(|number| event(number).untyped()).collect()
}

/// Everything goes wrong, but the clock never by more than a lease tolerates.
fn bad_day() -> Faults {
    Faults::none()
        .latency(0.3, SECOND)
        .error_before(0.1)
        .error_after(0.1)
        .torn(0.05)
        .stall(0.03, 10 * SECOND)
        .clock_jump(0.02, SECOND)
}

/// Delivers as JaaS does, until it is acknowledged; and once more.
async fn deliver(inbox: Inbox<FaultyStore<MemoryStore>>, event: EventBuilder) {
    let mut acknowledged = 0;
    while acknowledged < 2 {
        match inbox.dispatch(event.received()).await {
            Ok(Disposition::Stored | Disposition::Duplicate) => acknowledged += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => sleep(error.retry_after()).await,
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// One bad day with this many workers.
async fn day(seed: u64, workers: usize) -> Day {
    let store = FaultyStore::new(MemoryStore::new()).seeded(seed, bad_day());
    let handler = Attendance::default();
    let worker = |number: usize| {
        Worker::builder(store.clone(), Handlers::new().plain("attendance", handler.clone()))
            .clock(TokioClock::starting_at(START))
            .name(format!("worker-{number}"))
            .concurrency(4)
            .backoff(Backoff::default().max_failures(5))
            // A claim whose response was lost counts as a crash, and there are many.
            .max_crashes(1000)
            .build()
            .expect("built")
            .spawn()
    };
    let handles: Vec<_> = (0..workers).map(worker).collect();
    let mut senders = JoinSet::new();
    for event in events() {
        senders.spawn(deliver(Inbox::new(store.clone()), event));
    }
    timeout(3600 * SECOND, senders.join_all()).await.expect("every sender is acknowledged in the end");
    sleep(60 * SECOND).await;
    store.mend();
    let settled = async {
        while store.inner().stats().await.expect("counted").count(EventState::Done) < EVENTS as u64 {
            sleep(SECOND).await;
        }
    };
    timeout(3600 * SECOND, settled).await.expect("everything is done soon after the store is mended");
    for handle in handles {
        assert_eq!(handle.stop(10 * SECOND).await.interrupted, 0);
    }

    let rows = store.inner().events(&EventQuery::default()).await.expect("listed").items;
    assert_eq!(rows.len(), EVENTS);
    for row in rows {
        let number = number_of(row.idempotency_key.as_str());
        assert_eq!((row.state, &*row.completed), (EventState::Done, &["attendance".to_owned()][..]));
        let failures = u32::from(number.is_multiple_of(5));
        // When another worker has taken over meanwhile, a failure belongs to a stale claim, and is not recorded.
        assert!(
            row.failures == failures || workers > 1 && row.failures < failures,
            "{}",
            row.idempotency_key
        );
    }
    let injected = OPS.iter().map(|op| (*op, store.injected(*op))).collect();
    Day { successes: handler.successes(), injected }
}

/// What a receiver and a worker call on a store all day.
const OPS: [Op; 6] = [Op::Accept, Op::Claim, Op::Renew, Op::Complete, Op::Fail, Op::NextDue];

struct Day {
    /// How often each event was handled with success.
    successes: BTreeMap<String, usize>,
    injected: BTreeMap<Op, u64>,
}

/// Many bad days; no event is ever lost. Returns how often events were handled.
fn days(seeds: std::ops::Range<u64>, workers: usize) -> Vec<BTreeMap<String, usize>> {
    let days: Vec<Day> = seeds.map(|seed| runtime().block_on(day(seed, workers))).collect();
    for op in OPS {
        assert!(days.iter().any(|day| day.injected[&op] > 0), "{op:?} never failed");
    }
    assert!(days.iter().all(|day| day.successes.len() == EVENTS));
    days.into_iter().map(|day| day.successes).collect()
}

#[test]
fn nothing_is_lost_or_doubled_on_a_bad_day() {
    for successes in days(0..100, 1) {
        assert!(successes.values().all(|times| *times == 1), "{successes:?}");
    }
}

#[test]
fn nothing_is_lost_on_a_bad_day_of_two_workers() {
    days(100..150, 2);
}
