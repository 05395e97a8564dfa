#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
#[cfg(feature = "console")]
mod console;
mod health;
mod mounted;
mod webhook;

#[cfg(feature = "console")]
pub use self::console::{Access, Console, Operator, Right};
pub use self::health::Health;
pub use self::webhook::Webhook;
