//! What happened, minute by minute.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::signature::Tolerance;
use jaas_core::store::{Activity, EventAdmin, EventState, EventStore as _, Retention};

use super::Harness;
use super::support::*;

const MINUTE: i64 = 60 * 1000;

async fn recorded(store: &impl EventAdmin, millis: i64) {
    store.record_activity(at(millis)).await.expect("recorded");
}

/// The rows of the first ten days: accepted, settled, failed, dead, waiting.
async fn rows(store: &impl EventAdmin) -> Vec<[u64; 5]> {
    let rows = store.activity(at(0), at(10 * DAY)).await.expect("listed");
    rows.iter().map(|row| [row.accepted, row.settled, row.failed, row.dead, row.waiting]).collect()
}

pub async fn activity_counts_what_happened_between_records<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("before", EventState::Done, 0).await;
    recorded(&store, 0).await;
    assert_eq!(rows(&store).await, [[0; 5]; 0], "a row spans two records");

    store.ends("done", EventState::Done, 1).await;
    store.ends("ignored", EventState::Ignored, 1).await;
    store.ends("dead", EventState::Dead, 1).await;
    store.ends("discarded", EventState::Discarded, 1).await;
    store.stored(event("waits", None, 1)).await;
    store.stored(event("runs", None, 1)).await;
    let claims = store.claim(&request(1, 1)).await.expect("claimed");
    let lease = claims[0].lease;
    store.fail(lease, &retry("no", HOUR as u64), at(2)).await.expect("recorded");
    store.accept(event("waits", None, 1)).await.expect("a duplicate");
    store.accept(event("waits", None, 2)).await.expect("a conflict");
    recorded(&store, MINUTE).await;

    for name in ["done", "ignored", "dead", "discarded"] {
        let id = store.named(name).await.id;
        store.replay(id, &note(), at(MINUTE + 1)).await.expect("replayed");
        store.discard(id, &note(), at(MINUTE + 2)).await.expect("discarded");
    }
    recorded(&store, 2 * MINUTE).await;
    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    assert_eq!(store.purge(&retention, at(365 * DAY), 100).await.expect("purged").events, 5);
    recorded(&store, 3 * MINUTE).await;
    store.stored(event("again", None, 3 * MINUTE)).await;
    let claims = store.claimed(3 * MINUTE).await;
    assert_eq!(claims.len(), 2, "one waits for an hour");
    for claim in claims {
        store.done(claim.lease).await;
    }
    recorded(&store, 5 * MINUTE).await;

    assert_eq!(rows(&store).await, [[6, 2, 2, 1, 2], [0, 0, 0, 0, 2], [0, 0, 0, 0, 2], [1, 2, 0, 0, 1]]);
    let last = store.activity(at(3 * MINUTE), at(5 * MINUTE)).await.expect("listed");
    let spans: Vec<_> = last.iter().map(|row| (row.from, row.until)).collect();
    assert_eq!(spans, [(at(3 * MINUTE), at(5 * MINUTE))]);
    assert_eq!(store.activity(at(1), at(5 * MINUTE - 1)).await.expect("listed").len(), 2);
}

pub async fn activity_is_recorded_once_a_minute<H: Harness>() {
    let harness = H::start().await;
    let (one, other) = (harness.store(), harness.store());
    let minute = at(0).as_millis().rem_euclid(MINUTE);
    assert_eq!(minute, 0, "the tests start with a minute");
    for (store, millis) in
        [(&one, 10), (&other, 20), (&one, MINUTE - 1), (&other, MINUTE), (&one, MINUTE + 5)]
    {
        recorded(store, millis).await;
        one.stored(event(&format!("k{millis}"), None, millis)).await;
    }
    let rows = other.activity(at(0), at(DAY)).await.expect("listed");
    let seen: Vec<_> = rows.iter().map(|row| (row.from, row.until, row.accepted)).collect();
    assert_eq!(seen, [(at(10), at(MINUTE), 3)], "the first record of a minute stays");
}

pub async fn activity_is_kept_for_two_days<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for millis in [0, HOUR, 2 * DAY, 2 * DAY + HOUR] {
        recorded(&store, millis).await;
    }
    let rows = store.activity(at(0), at(10 * DAY)).await.expect("listed");
    let spans: Vec<_> = rows.iter().map(|row| (row.from, row.until)).collect();
    assert_eq!(spans, [(at(HOUR), at(2 * DAY)), (at(2 * DAY), at(2 * DAY + HOUR))]);
    assert_eq!(Activity::KEPT.as_millis(), 2 * DAY as u128);
}
