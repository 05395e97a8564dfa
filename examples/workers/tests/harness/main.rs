//! Real processes on real databases, treated badly: killed, frozen, sent everything twice, their database taken away.
//!
//! `cargo test -p workers` runs bounded doses of at most 25 s each. The full dose takes about 15 minutes and is run by
//! hand, one test after the other, with the figures shown:
//!
//! ```text
//! JAAS_HARNESS=full cargo test -p workers --release -- --nocapture
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `JAAS_HARNESS` | `full` for the full dose |
//! | `JAAS_HARNESS_SEED` | a number, to repeat a run's random choices; each run prints its own |
//! | `JAAS_TEST_POSTGRES_URL` | a PostgreSQL server, on which each test has a schema of its own |
//! | `JAAS_TEST_MYSQL_URL` | a MySQL or MariaDB server, on which each test has a database of its own |
//! | `JAAS_LEASE_MS` | with the full dose, the lease of the processes, instead of their default |
//!
//! Without a server its tests say so and pass. The tests that take the database away start servers of their own, and
//! need the programs of PostgreSQL and MariaDB.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod copies;
mod frozen;
mod ids;
mod kills;
mod outage;
mod presences;
mod roles;
#[path = "../../src/schema.rs"]
mod schema;
mod support;
