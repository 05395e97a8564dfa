//! What can be seen from outside: metrics, spans, log lines, and the trace an event belongs to.
//!
//! - **Metrics** go through the [`metrics`](https://docs.rs/metrics) facade. [`METRICS`] is the one table they are emitted
//!   from; an application that installs an exporter calls [`describe_metrics`] once after it.
//! - **Spans and log lines** go through [`tracing`](https://docs.rs/tracing). [`SPANS`] lists the spans, and [`target`] the
//!   targets by which both can be filtered.
//! - **Traces** are W3C trace contexts: see [`TraceContext`], and [`TracePropagator`] to join them with those of the
//!   application.
//!
//! Names, labels and fields are part of the public interface of this crate. No body, link, secret, room or person is in
//! any of them, and what was written by others is [`Escaped`]: nothing that is delivered breaks a line.

mod counting;
mod escaped;
mod metrics;
mod spans;
mod subscriber;
mod trace;

pub(crate) use self::counting::{DeadReason, Outcome, decoded, ended};
pub use self::escaped::Escaped;
pub(crate) use self::metrics::{
    ACCEPT_SECONDS, AUTHENTIC, DEAD_LETTERS, DELIVERIES, EVENT_ATTEMPTS, EVENTS, GAPS, GAPS_OPEN,
    HANDLER_SECONDS, Keys, LEASES_LOST, PURGED, QUEUE_EVENTS, QUEUE_OLDEST_SECONDS, REFUSED,
    SETTINGS_ANSWERS, SETTINGS_CREDENTIALS, SETTINGS_RECORDS_LOST, SETTINGS_SECONDS, SIGNATURE_AGE_SECONDS,
    UNDECODED_FIELDS, UNKNOWN_EVENTS, WAIT_SECONDS,
};
#[cfg(feature = "archive")]
pub(crate) use self::metrics::{
    ARTIFACT_BYTES, ARTIFACT_DEADLINE_SECONDS, ARTIFACT_LEFT_SECONDS, ARTIFACT_SECONDS, ARTIFACTS,
    ARTIFACTS_OPEN,
};
pub use self::metrics::{METRICS, Metric, MetricKind, MetricLabel, describe_metrics};
pub use self::spans::{SPANS, SpanInfo, target};
pub(crate) use self::spans::{name, trace_id};
pub(crate) use self::subscriber::{heard, inside};
pub use self::trace::{TraceContext, TraceContextError, TracePropagator};
