#![doc = include_str!("../README.md")]

mod body;
mod health;
mod mounted;
mod webhook;

pub use self::health::Health;
pub use self::webhook::Webhook;
