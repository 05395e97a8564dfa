//! A custom event store over [`redb`], an embedded database in Rust, and a template for other stores. The README says what it
//! is for and what it is not for.
//!
//! Read it in this order: `rows` (what is kept), `tables` (a transaction, and the indexes that make finding work cheap),
//! `store` (how a transaction gets its turn, and what a handler can write).

mod rows;
mod store;
mod tables;

pub use self::store::{Redb, RedbStore, Transaction};
