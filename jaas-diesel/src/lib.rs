#![doc = include_str!("../README.md")]

mod error;
mod rows;
mod schema;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
