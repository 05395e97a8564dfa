//! The rows that the calls for each event read do not become more when the store holds more, whatever statistics the planner
//! has.
//!
//! The calls go through the public API, and every statement that the store sends is measured, also one that is added later.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod calls;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod fill;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod lists;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod meetings;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod mysql;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod postgres;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[path = "../support/proxy.rs"]
mod proxy;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[path = "../support/servers.rs"]
mod servers;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sqlite;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod watching;

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
#[test]
fn without_all_features_nothing_is_measured() {
    use std::io::Write as _;
    // Past the capture of output.
    let why =
        "NOT TESTED here: the plans of the statements, which need the features sqlite, postgres and mysql";
    writeln!(std::io::stderr(), "{why} (cargo test -p jaas-diesel --all-features --test plans)")
        .expect("written");
}
