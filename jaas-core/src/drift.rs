//! What JaaS sends and this version does not know: event types, fields, JSON types and words.
//!
//! JaaS adds them without notice. Nothing breaks: such events are handled, and unknown types reach
//! [`EventHandler::unknown`](crate::EventHandler::unknown). But a new field is often the one that an application has
//! waited for. A [`Radar`] looks at a sample of the events that a handler gets, a [`DriftRecorder`] keeps what it found
//! in a [`DriftStore`], with a redacted body to write a test from, and logs each new thing once.
//!
//! ```
//! use jaas_core::drift::{DriftRecorder, Radar};
//! use jaas_core::store::MemoryStore;
//! use jaas_core::{EventHandler, Handlers, Worker};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! struct Attendance;
//! impl EventHandler for Attendance {}
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! // Claims of your own JWTs come back in the events of participants; they are not news.
//! let radar = Radar::new().knows(["department"]);
//! let handlers = Handlers::new().plain("attendance", radar.watch(Attendance));
//! let worker = Worker::builder(store.clone(), handlers).build()?.spawn();
//! let recorder = DriftRecorder::new(radar, store).spawn()?;
//! // … until the application stops:
//! worker.stop(Duration::from_secs(10)).await;
//! recorder.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod fixture;
mod found;
mod radar;
mod recorder;
mod store;

pub use self::fixture::fixture;
pub use self::found::{Drift, DriftKind, drifts};
pub use self::radar::{Radar, Watched};
pub use self::recorder::{DriftHandle, DriftRecorder};
pub use self::store::{DriftRecord, DriftSighting, DriftStore};
