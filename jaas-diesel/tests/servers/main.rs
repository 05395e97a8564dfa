//! Stores on PostgreSQL and on MySQL or MariaDB: what each does beyond the contract of every store, and what it returns when
//! the server, the network or the caller fails.
#![cfg(all(feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod addresses;
mod clocks;
mod close;
mod connection_loss;
mod dropped_futures;
mod groups;
mod hand_over;
mod lost_replies;
mod migrations;
mod misuse;
mod open;
#[path = "../support/own_servers.rs"]
mod own_servers;
mod own_servers_end;
#[cfg(unix)]
mod prerequisites;
#[path = "../support/proxy.rs"]
mod proxy;
mod read_only;
mod readiness;
#[path = "../support/servers.rs"]
mod servers;
mod sessions;
mod timeout;
mod values;
