//! Real processes on real databases, treated badly: killed, frozen, sent everything twice, or left without their database.
//!
//! `cargo test -p workers` runs short versions of at most 25 s each. The full run takes about 15 minutes. Start it by hand,
//! one test after the other, with the figures shown:
//!
//! ```text
//! JAAS_HARNESS=full cargo test -p workers --release -- --nocapture
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `JAAS_HARNESS` | `full` for the full run |
//! | `JAAS_HARNESS_SEED` | a number, to repeat a run's random choices; each run prints its own |
//! | `JAAS_TEST_POSTGRES_URL` | a PostgreSQL server, on which each test creates its own schema |
//! | `JAAS_TEST_MYSQL_URL` | a MySQL or MariaDB server, on which each test creates its own database |
//! | `JAAS_LEASE_MS` | in the full run, the lease of the processes, instead of their default |
//!
//! Without a server its tests print that and pass. The tests that stop the database start their own servers, and
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
