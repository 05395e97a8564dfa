#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(clippy::duplicate_mod, reason = "one text, compiled for each connection type")]

#[cfg(all(feature = "archive", any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
mod artifacts;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod drift;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod ending;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod error;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod group;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub mod meetings;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod migrations;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod now;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod schema;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod settings;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod statement;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod watch;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use self::migrations::Migration;
#[cfg(feature = "mysql")]
pub use self::mysql::opening::{MysqlStore, MysqlStoreBuilder};
#[cfg(feature = "postgres")]
pub use self::postgres::opening::{PostgresStore, PostgresStoreBuilder};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use self::settings::SettingsRow;
#[cfg(feature = "sqlite")]
pub use self::sqlite::opening::{SqliteStore, SqliteStoreBuilder};
