//! Random meetings for proptest.
//!
//! ```
//! use jaas_testkit::simulator::strategy;
//! use proptest::prelude::*;
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig::with_cases(8))]
//!     # /*
//!     #[test]
//!     # */
//!     fn every_room_closes((meeting, deliveries) in strategy::meetings_in_any_order()) {
//!         prop_assert!(meeting.has_ended());
//!         prop_assert!(deliveries.len() >= meeting.events().len());
//!     }
//! }
//! # every_room_closes();
//! ```

use jaas_core::Delivery;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::Index;

use super::meeting::Meeting;
use super::random::Random;

/// Whole meetings. A failing one shrinks to fewer people, then to fewer things that happen, of the same seed.
pub fn meetings() -> impl Strategy<Value = Meeting> {
    (any::<u64>().no_shrink(), 1..=8usize, 0..=60usize).prop_map(|(seed, people, steps)| {
        Random::new(seed).participants(people..=people).steps(steps).meeting()
    })
}

/// The events of a meeting in any order, some of them several times. What fails shrinks towards the right order and no
/// copies.
pub fn any_order(meeting: &Meeting) -> impl Strategy<Value = Vec<Delivery>> + use<> {
    let deliveries = meeting.deliveries();
    let most = deliveries.len() / 2;
    vec(any::<Index>(), 0..=most)
        .prop_flat_map(move |copies| {
            let mut places: Vec<usize> = (0..deliveries.len()).collect();
            places.extend(copies.iter().map(|copy| copy.index(deliveries.len())));
            (Just(deliveries.clone()), Just(places).prop_shuffle())
        })
        .prop_map(|(deliveries, places)| places.into_iter().map(|place| deliveries[place].clone()).collect())
}

/// Whole meetings, each with its events in any order, some of them several times.
pub fn meetings_in_any_order() -> impl Strategy<Value = (Meeting, Vec<Delivery>)> {
    meetings().prop_flat_map(|meeting| {
        let deliveries = any_order(&meeting);
        (Just(meeting), deliveries)
    })
}
