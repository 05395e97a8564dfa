//! The table of metrics, and emitting from it.

use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, SharedString, Unit};

use super::target;
use crate::named::named_enum;

/// A metric as it is emitted.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its values are to be understood.
    pub kind: MetricKind,
    /// What is counted or measured.
    pub unit: Unit,
    /// Its labels; each time it is emitted, it has all of them.
    pub labels: &'static [MetricLabel],
    /// Its meaning.
    pub help: &'static str,
    /// Upper bounds that suit its values, of a histogram; empty for the other kinds. Give them to an exporter that wants
    /// them.
    pub buckets: &'static [f64],
}

named_enum! {
    /// How the values of a metric are to be understood.
    #[non_exhaustive]
    pub enum MetricKind {
        /// Only grows.
        Counter = "counter",
        /// Goes up and down.
        Gauge = "gauge",
        /// Many values of which the distribution matters.
        Histogram = "histogram",
    }
}

/// A label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricLabel {
    /// Its name.
    pub name: &'static str,
    /// What its values mean.
    pub meaning: &'static str,
}

/// Describes each metric of [`METRICS`] to the installed recorder. Call it once, after the exporter was installed.
pub fn describe_metrics() {
    for metric in METRICS {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(name, unit, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, unit, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// A metric with so many labels, to be emitted with a value for each, in the order of the table.
pub(crate) struct Emitted<const LABELS: usize>(Metric);

/// Keys that are made when they are needed first, for those who emit them often: making one costs more than a handler that
/// only counts.
pub(crate) struct Keys<const MANY: usize>([OnceLock<Key>; MANY]);

impl<const MANY: usize> Keys<MANY> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; MANY])
    }

    /// The key at this place.
    pub(crate) fn at(&self, place: usize, make: impl FnOnce() -> Key) -> &Key {
        self.0[place].get_or_init(make)
    }
}

static METADATA: Metadata<'static> = Metadata::new(target::METRICS, Level::INFO, Some(module_path!()));

impl<const LABELS: usize> Emitted<LABELS> {
    /// The key of these values, for those who emit it often.
    pub(crate) fn key(&self, values: [SharedString; LABELS]) -> Key {
        let labels = self.0.labels.iter().zip(values);
        let labels: Vec<Label> =
            labels.map(|(label, value)| Label::new(SharedString::const_str(label.name), value)).collect();
        Key::from_parts(self.0.name, labels)
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, count: u64, values: [SharedString; LABELS]) {
        self.add_to(&self.key(values), count);
    }

    /// Adds to a counter of this key.
    pub(crate) fn add_to(&self, key: &Key, count: u64) {
        metrics::with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(count);
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, to: f64, values: [SharedString; LABELS]) {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA)).set(to);
    }

    /// Records a value of a histogram.
    pub(crate) fn record(&self, value: f64, values: [SharedString; LABELS]) {
        self.record_in(&self.key(values), value);
    }

    /// Records a value of a histogram of this key.
    pub(crate) fn record_in(&self, key: &Key, value: f64) {
        metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA)).record(value);
    }
}

/// Defines the metrics, and [`METRICS`] of them.
macro_rules! define {
    ($(
        $kind:ident $NAME:ident $name:literal in $unit:ident $([$($bucket:expr),* $(,)?])?
            { $($label:ident: $meaning:literal,)* } $help:literal;
    )*) => {
        $(
            pub(crate) static $NAME: Emitted<{ <[&str]>::len(&[$(stringify!($label)),*]) }> = Emitted(Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: Unit::$unit,
                labels: &[$(MetricLabel { name: stringify!($label), meaning: $meaning },)*],
                help: $help,
                buckets: &[$($($bucket),*)?],
            });
        )*

        /// Every metric of this crate, and of the crates around it.
        pub static METRICS: &[Metric] = &[$($NAME.0),*];
    };
}

define! {
    Counter DELIVERIES "jaas_deliveries_total" in Count {
        endpoint: "name of the endpoint",
        reply: "the reply: `stored`, `handled`, `ignored`, `failed`, `duplicate`, `conflict`, `quarantined`, \
                `settings`, `settings_refused`, `unauthorized`, `incomplete`, `method_not_allowed`, `too_slow`, `too_large`, \
                `unavailable`",
    } "Requests, by reply.";

    Counter REFUSED "jaas_refused_total" in Count {
        endpoint: "name of the endpoint",
        reason: "`signature_missing`, `signature_malformed`, `signature_mismatch`, `signature_too_old`, \
                 `signature_from_the_future`, `authorization_missing`, `authorization_mismatch`, `body_missing`",
    } "Requests that got 401, by reason.";

    Counter AUTHENTIC "jaas_authentic_total" in Count {
        endpoint: "name of the endpoint",
        secret: "index of the secret that matched, from 0 in the order they were given; `authorization` when that header alone \
                 authenticated it",
    } "Authentic requests, by what authenticated them. A rotated secret can be removed when it has not been used for as long as the tolerance.";

    Histogram SIGNATURE_AGE_SECONDS "jaas_signature_age_seconds" in Seconds [
        -300.0, -60.0, -10.0, -1.0, 0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
    ] {
        endpoint: "name of the endpoint",
    } "Receipt minus the `t` of the signature, of authentic requests; negative when the sender's clock is ahead.";

    Histogram ACCEPT_SECONDS "jaas_accept_seconds" in Seconds [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ] {
        endpoint: "name of the endpoint",
        reply: "as in `jaas_deliveries_total`, of authentic events",
    } "From the whole body to the reply, of authentic events.";

    Gauge QUEUE_EVENTS "jaas_queue_events" in Count {
        state: "`waiting`, `running`, `done`, `ignored`, `dead`, `discarded`; `conflict`, `quarantined`",
    } "What the store holds. Set by the `Monitor`.";

    Gauge QUEUE_OLDEST_SECONDS "jaas_queue_oldest_seconds" in Seconds {
        state: "`waiting`, `running`, `done`, `ignored`, `dead`, `discarded`",
    } "How long ago the oldest event of the state was received; 0 when there is none. Set by the `Monitor`.";

    Histogram WAIT_SECONDS "jaas_wait_seconds" in Seconds [
        0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
    ] {
        kind: "event type, `UNKNOWN` for a type this version does not know",
    } "From receipt to the first run, in a worker. A replayed event counts again.";

    Histogram HANDLER_SECONDS "jaas_handler_seconds" in Seconds [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ] {
        handler: "name of the handler",
        kind: "event type, `UNKNOWN` for a type this version does not know",
        outcome: "`done` (of a transactional handler: before its commit), `ignored`, `retry`, `permanent`, `timed_out`, `panicked`",
    } "Runs of one handler on one event.";

    Counter EVENTS "jaas_events_total" in Count {
        kind: "event type, `UNKNOWN` for a type this version does not know",
        outcome: "`handled`, `ignored`, `retry` (will run again), `dead` (dead letter)",
    } "Runs of events, by how they ended.";

    Histogram EVENT_ATTEMPTS "jaas_event_attempts" in Count [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0, 20.0] {
        kind: "event type, `UNKNOWN` for a type this version does not know",
        outcome: "`handled`, `ignored`, `dead`",
    } "Runs an event took until it was settled.";

    Counter DEAD_LETTERS "jaas_dead_letters_total" in Count {
        kind: "event type, `UNKNOWN` for a type this version does not know",
        reason: "`permanent` (a handler reported it), `exhausted` (failed too often), `crashed` (ended the process too often), \
                 `unreadable` (the stored body can no longer be parsed)",
    } "Events that became dead letters. `Direct` does not keep them, but counts them.";

    Counter UNKNOWN_EVENTS "jaas_unknown_events_total" in Count {
        reason: "`type` (this version does not know the event type), `data` (known type, but `data` has the wrong shape)",
    } "Events that went to `EventHandler::unknown`, at their first run. A replayed event counts again.";

    Counter UNDECODED_FIELDS "jaas_undecoded_fields_total" in Count {
        kind: "event type, `UNKNOWN` for a type this version does not know",
        field: "name of the field on the wire; `data` for an entry of a list or map that is `data` itself",
    } "Known fields whose value was neither null nor empty and did not fit, at the first run of their event. A replayed event counts \
       again.";

    Counter LEASES_LOST "jaas_leases_lost_total" in Count {
    } "Leases that expired while a handler was running; another worker has taken over.";

    Counter PURGED "jaas_purged_total" in Count {
        what: "`events`, `conflicts`, `quarantined`",
    } "Rows that the `Purger` deleted.";

    Counter SETTINGS_ANSWERS "jaas_settings_answers_total" in Count {
        endpoint: "name of the endpoint",
        source: "`provider`, `last_known_good`, `fallback`, `fail_closed`, `refused`",
        failure: "why the provider did not decide: `timed_out`, `failed`, `panicked`, `no_settings`, `overloaded`, `unreadable`; \
                  `none` when it did",
    } "Answers to settings questions.";

    Histogram SETTINGS_SECONDS "jaas_settings_seconds" in Seconds [
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0,
    ] {
        endpoint: "name of the endpoint",
        source: "as in `jaas_settings_answers_total`",
    } "From the question to its answer.";

    Counter SETTINGS_CREDENTIALS "jaas_settings_credentials_total" in Count {
        endpoint: "name of the endpoint",
        credentials: "the headers of the question: `none`, `signature`, `authorization`, `both`",
        result: "`accepted`, `refused`",
    } "Settings questions, by their credentials.";

    Counter SETTINGS_RECORDS_LOST "jaas_settings_records_lost_total" in Count {
        reason: "`queue_full`, `closed`, `not_written`",
    } "Records of settings answers that were not kept.";

    Counter GAPS "jaas_gaps_total" in Count {
        rule: "what is missing: `recording_not_uploaded`, `recording_not_started`, `transcription_not_uploaded`, `stay_not_left`, \
               `room_not_closed`, `usage_not_sent`, `join_not_sent`, `endpoint_silent`, \
               `endpoint_refuses`",
        severity: "`critical` (a file may be lost), `warning`, `info`",
        change: "`found`, `closed` (what was missing has come)",
    } "Events that should have come and did not, by what was reported to the application.";

    Gauge GAPS_OPEN "jaas_gaps_open" in Count {
        rule: "as in `jaas_gaps_total`",
        severity: "as in `jaas_gaps_total`",
    } "Gaps that have not closed. Set by the auditor of a `Watch`.";

    Counter ARTIFACTS "jaas_artifacts_total" in Count {
        kind: "`recording`, `video_segment`, `transcription`, `chat`, `screen_sharing`, `screen_sharing_pages`, `document`, \
               `rtcstats`, `other`",
        outcome: "`stored`; `at_risk`, which another outcome follows; lost: `expired`, `gone`, `refused`",
    } "Files behind links, by what was reported to the application. With the feature `archive`, like those that follow.";

    Histogram ARTIFACT_SECONDS "jaas_artifact_seconds" in Seconds [
        0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    ] {
        kind: "as in `jaas_artifacts_total`",
        outcome: "`fetched`, `failed`, `gone`, `refused`, `not_allowed`, `sink_failed`, `cut`",
    } "Tries to fetch a file.";

    Counter ARTIFACT_BYTES "jaas_artifact_bytes_total" in Bytes {
        kind: "as in `jaas_artifacts_total`",
    } "Bytes of the files that are in the sink.";

    Histogram ARTIFACT_LEFT_SECONDS "jaas_artifact_left_seconds" in Seconds [
        60.0, 300.0, 900.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0, 64_800.0, 79_200.0, 86_400.0, 172_800.0,
    ] {
        kind: "as in `jaas_artifacts_total`",
    } "How long the link would still have lived when its file was stored.";

    Gauge ARTIFACTS_OPEN "jaas_artifacts_open" in Count {
    } "Files that wait to be fetched or are being fetched. Set by the archiver.";

    Gauge ARTIFACT_DEADLINE_SECONDS "jaas_artifact_deadline_seconds" in Seconds {
    } "How long the first link that is not fetched still lives; negative when it has died; 48 h when nothing waits. Set by the \
       archiver.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_that_tells_its_kind_and_unit() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for Metric { name, kind, unit, .. } in METRICS {
            assert!(name.starts_with("jaas_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
        }
    }

    #[test]
    fn histograms_alone_have_buckets_and_those_grow() {
        for Metric { name, kind, buckets, .. } in METRICS {
            assert_eq!(!buckets.is_empty(), *kind == MetricKind::Histogram, "{name}");
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
        }
    }

    #[test]
    fn every_metric_can_be_described() {
        metrics::with_local_recorder(&metrics::NoopRecorder, describe_metrics);
    }
}
