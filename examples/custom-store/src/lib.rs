//! A custom event store over [`redb`], an embedded database in Rust, and a template for other stores. The README says what it
//! is for and what it is not for.
//!
//! Read it in this order: `rows` (what is kept, and the indexes that make finding work cheap), `work` (what runs next),
//! `store` and `admin` (the two traits of the contract, each method in terms of the former).

mod admin;
mod rows;
mod store;
mod work;

pub use self::store::{RedbStore, Transaction};
