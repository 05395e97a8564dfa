//! Instructions and allocations of an event that SQLite accepts, one at a time.
//!
//! `.ci/check-cost` runs it, compares with the figures that are committed, and prints both. The thread that writes is
//! counted too, and so is everything else of the process: what one event costs is the difference between [`MANY`] and
//! [`FEW`] rounds of the examples of 8x8's page, each with its own key.
#![allow(missing_docs, clippy::expect_used)]

use gungraun::{
    Callgrind, Dhat, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use jaas_core::store::{Accepted, EventStore as _};
use jaas_core::{Delivery, Timestamp};
use jaas_diesel::SqliteStore;
use jaas_testkit::fixture::{DOCUMENTED, with_key};

/// `.ci/check-cost` divides by their difference.
const FEW: usize = 2;
const MANY: usize = 12;

#[library_benchmark]
#[bench::few(FEW)]
#[bench::many(MANY)]
fn accepted(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.expect("a store");
        for round in 0..rounds {
            for event in DOCUMENTED {
                let key = format!("{}-{round:08}-0b7e4c069a83", event.name);
                let body = with_key(event.body, &key).expect("a key");
                let delivery = Delivery::parse("main", Timestamp::from_secs(1_760_000_000), body.into());
                let accepted = store.accept(delivery.expect("readable")).await.expect("stored");
                assert_eq!(accepted, Accepted::New);
            }
        }
        store.close().await;
    });
}

library_benchmark_group!(name = events, benchmarks = accepted);

main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().entry_point(EntryPoint::None))
        .tool(Dhat::default().entry_point(EntryPoint::None)),
    library_benchmark_groups = events
);
