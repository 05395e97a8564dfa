//! A JaaS receiver under axum. `webhook.rs` is the adapter, and the template for any web framework; `serve.rs` stops the
//! server gracefully, with a timeout.

mod serve;
mod webhook;

pub use self::serve::serve;
pub use self::webhook::Webhook;
