//! The names of spans and targets.

use tracing::Level;

use super::TraceContext;

/// The targets of spans and log lines. All begin with `jaas::`, so a filter such as `jaas=debug` has them all.
pub mod target {
    /// From a request to its reply.
    pub const DELIVERY: &str = "jaas::delivery";
    /// From a claim to the settled event; in [`Direct`](crate::Direct) too.
    pub const WORK: &str = "jaas::work";
    /// Fetching the files that events link to: the feature `archive`.
    pub const ARCHIVE: &str = "jaas::archive";
    /// Questions about the settings of meetings, and their answers.
    pub const SETTINGS: &str = "jaas::settings";
    /// Gaps: events that should have come and did not.
    pub const WATCH: &str = "jaas::watch";
    /// Stores: what they warn of, purging and watching them.
    pub const STORE: &str = "jaas::store";
    /// The web framework's side: bodies that end too soon, health checks.
    pub const HTTP: &str = "jaas::http";
    /// Of metrics, in the metadata that the facade gives to a recorder.
    pub const METRICS: &str = "jaas::metrics";
}

pub(crate) mod name {
    pub(crate) const DELIVERY: &str = "jaas.delivery";
    pub(crate) const ACCEPT: &str = "jaas.accept";
    pub(crate) const CLAIM: &str = "jaas.claim";
    pub(crate) const EVENT: &str = "jaas.event";
    pub(crate) const HANDLE: &str = "jaas.handle";
    pub(crate) const ARTIFACT: &str = "jaas.artifact";
}

/// A span as it is opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SpanInfo {
    /// Its name.
    pub name: &'static str,
    /// The span around it; `None` when it is the first one, or that of the application is.
    pub parent: Option<&'static str>,
    /// Its level.
    pub level: Level,
    /// Its target.
    pub target: &'static str,
    /// What it spans.
    pub help: &'static str,
    /// Its fields and their meaning. One that is not known is not recorded.
    pub fields: &'static [(&'static str, &'static str)],
}

const ENDPOINT: (&str, &str) = ("endpoint", "name of the endpoint");
const KEY: (&str, &str) = ("key", "the event's `idempotencyKey`: the same in every span about the event");
const EVENT_TYPE: (&str, &str) = ("event_type", "`eventType` as received");
const TRACE_ID: (&str, &str) = ("trace_id", "trace id of the event's trace context, 32 hex digits");

/// Every span of this crate.
pub static SPANS: &[SpanInfo] = &[
    SpanInfo {
        name: name::DELIVERY,
        parent: None,
        level: Level::INFO,
        target: target::DELIVERY,
        help: "One request, from its whole body to the reply.",
        fields: &[
            ENDPOINT,
            KEY,
            EVENT_TYPE,
            ("reply", "the reply, as in the label of `jaas_deliveries_total`"),
            TRACE_ID,
        ],
    },
    SpanInfo {
        name: name::ACCEPT,
        parent: Some(name::DELIVERY),
        level: Level::INFO,
        target: target::DELIVERY,
        help: "Accepting an authentic event: storing it, or in `Direct` handling it.",
        fields: &[(
            "outcome",
            "`stored`, `handled`, `ignored`, `failed`, `duplicate`, `conflict`, `quarantined`; `refused`, `timed_out`",
        )],
    },
    SpanInfo {
        name: name::CLAIM,
        parent: None,
        level: Level::DEBUG,
        target: target::WORK,
        help: "A worker claims events from the store, or gets one handed over. It contains one line for each claimed event.",
        fields: &[("worker", "name of the worker"), ("claimed", "how many events it got")],
    },
    SpanInfo {
        name: name::EVENT,
        parent: None,
        level: Level::INFO,
        target: target::WORK,
        help: "One run of an event, from its claim to its recorded end. In `Direct` it is inside `jaas.accept`.",
        fields: &[
            ("event", "the event's row; not in `Direct`"),
            ENDPOINT,
            KEY,
            EVENT_TYPE,
            ("attempt", "which run this is, from 1"),
            ("worker", "name of the worker; not in `Direct`"),
            ("fence", "number of the claim; not in `Direct`"),
            TRACE_ID,
        ],
    },
    SpanInfo {
        name: name::HANDLE,
        parent: Some(name::EVENT),
        level: Level::INFO,
        target: target::WORK,
        help: "One run of one handler. It contains the spans and lines of the handler.",
        fields: &[
            ("handler", "name of the handler"),
            ("mode", "`plain`, `transactional`, or `rehearsed`"),
            ("outcome", "`done`, `ignored`, `retry`, `permanent`, `timed_out`, `panicked`"),
        ],
    },
    SpanInfo {
        name: name::ARTIFACT,
        parent: None,
        level: Level::INFO,
        target: target::ARCHIVE,
        help: "One try to fetch a file that an event links to, from its claim to its recorded end.",
        fields: &[
            ("artifact", "the artifact's row"),
            ("event", "the row of its event"),
            ENDPOINT,
            ("artifact_kind", "what it is, as in the label `kind` of `jaas_artifacts_total`"),
            ("attempt", "which try this is, from 1"),
            ("worker", "name of the archiver"),
            ("fence", "number of the claim"),
            TRACE_ID,
        ],
    },
];

/// What the field `trace_id` shows of a trace context.
pub(crate) fn trace_id(trace: Option<&TraceContext>) -> Option<&str> {
    trace.map(TraceContext::trace_id)
}
