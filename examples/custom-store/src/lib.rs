//! A custom event store over [`redb`], an embedded database in Rust, and a template for other stores. The README says what it
//! is for and what it is not for.
//!
//! Read it in this order: `rows` (what is kept), `change` (a transaction, and the indexes that make finding work cheap), `store`
//! and `admin` (the two traits of the contract, each method in terms of the former).

mod admin;
mod change;
mod rows;
mod store;

pub use self::store::{RedbStore, Transaction};
