//! What endpoints show.

use std::time::Duration;

use jaas_core::store::StoreError;
use jaas_core::watch::{GapStore, NewSightings, Rule, Seen, Sighting};

use super::support::{MINUTE, at, claimed_one, finished, found, gap, new, next, recorded, session};
use crate::conformance::Harness;

const HOUR: i64 = 60 * MINUTE;

fn heard(name: &str, slot: &str, millis: i64) -> NewSightings {
    let sightings = vec![Sighting::new(Seen::Heard, slot, at(millis), at(millis))];
    NewSightings { sightings, ..new(name, &[], millis) }
}

/// The slots of an endpoint and their times.
async fn kept(store: &impl GapStore, name: &str) -> Result<Vec<(String, jaas_core::Timestamp)>, StoreError> {
    let sightings = store.watched(&session(name)).await?.sightings;
    let mut kept: Vec<_> = sightings.into_iter().map(|one| (one.slot, one.at)).collect();
    kept.sort_unstable();
    Ok(kept)
}

pub async fn endpoint_sightings_keep_the_latest_time<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for millis in [5 * MINUTE, 9 * MINUTE, 7 * MINUTE] {
        store.record_endpoint(&heard("endpoint:main", "0", millis), at(0)).await.expect("recorded");
    }
    store.record_endpoint(&heard("endpoint:main", "1", HOUR), at(0)).await.expect("recorded");
    store.record_endpoint(&heard("endpoint:other", "0", 2 * HOUR), at(0)).await.expect("recorded");
    let expected = [("0".to_owned(), at(9 * MINUTE)), ("1".to_owned(), at(HOUR))];
    assert_eq!(kept(&store, "endpoint:main").await.expect("read"), expected);
}

pub async fn endpoint_sightings_that_are_old_are_forgotten<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    for (name, slot) in
        [("endpoint:main", 0), ("endpoint:other", 0), ("endpoint:main", 1), ("endpoint:main", 2)]
    {
        let new = heard(name, &slot.to_string(), slot * HOUR);
        store.record_endpoint(&new, at(0)).await.expect("recorded");
    }
    store.record_endpoint(&heard("endpoint:main", "3", 3 * HOUR), at(HOUR)).await.expect("recorded");
    let slots = kept(&store, "endpoint:main").await.expect("read").into_iter().map(|(slot, _)| slot);
    assert_eq!(slots.collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(kept(&store, "endpoint:other").await.expect("read").len(), 1);
    assert_eq!(kept(&store, "s-1").await.expect("read").len(), 1);
}

pub async fn endpoint_is_due_at_the_earlier_time<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let name = "endpoint:main";
    store.record_endpoint(&heard(name, "0", 0), at(0)).await.expect("recorded");
    store.record_endpoint(&heard(name, "0", MINUTE), at(0)).await.expect("recorded");
    assert_eq!(next(&store, MINUTE).await, Some(Duration::from_secs(14 * 60)));
    let claim = claimed_one(&store, 15 * MINUTE).await;
    assert_eq!((claim.version, claim.last_seen_at), (2, at(MINUTE)));
    found(&store, &claim.lease, gap(name, Rule::EndpointSilent, "a"), 15 * MINUTE).await;
    finished(&store, &claim, None, 15 * MINUTE).await;
    store.record_endpoint(&heard(name, "0", 20 * MINUTE), at(0)).await.expect("recorded");
    assert_eq!(next(&store, 20 * MINUTE).await, Some(Duration::ZERO), "it has an open gap");
}
