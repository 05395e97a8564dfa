//! Instructions for decoding events, and for decoding them under a radar. The events are the examples of 8x8's page.
//!
//! By hand, with valgrind and `gungraun-runner` installed: `cargo bench -p cost --bench drift`.
#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use jaas_core::drift::Radar;
use jaas_core::{Delivery, Timestamp};
use jaas_testkit::fixture::DOCUMENTED;

/// How often each event is decoded: a multiple of the sample.
const ROUNDS: usize = 512;

fn ready() -> (Radar, Vec<Delivery>) {
    let radar = Radar::new();
    let parse = |body: &'static str| {
        Delivery::parse("main", Timestamp::from_secs(1), body.into()).expect("an envelope")
    };
    let events: Vec<Delivery> = DOCUMENTED.iter().map(|event| parse(event.body)).collect();
    // The first events of each type are all looked at.
    for event in events.iter().cycle().take(events.len() * 64) {
        radar.observe(event);
    }
    (radar, events)
}

#[library_benchmark]
#[bench::documented(setup = ready)]
fn decoded((radar, events): (Radar, Vec<Delivery>)) -> Radar {
    for event in events.iter().cycle().take(events.len() * ROUNDS) {
        black_box(event.event());
    }
    radar
}

#[library_benchmark]
#[bench::documented(setup = ready)]
fn watched((radar, events): (Radar, Vec<Delivery>)) -> Radar {
    for event in events.iter().cycle().take(events.len() * ROUNDS) {
        black_box(event.event());
        radar.observe(event);
    }
    radar
}

library_benchmark_group!(name = drift, benchmarks = [decoded, watched]);
main!(library_benchmark_groups = drift);
