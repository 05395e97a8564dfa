//! The result of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::Envelope;
use serde_json::{Value, json};

use super::target::NoResponse;

/// The result of a run of a [`Sender`](super::Sender).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// How many bodies there were: each a separate event.
    pub events: usize,
    /// How many deliveries were planned: the events, and the copies.
    pub deliveries: usize,
    /// How many of them were a second copy, which the receiver should report as a duplicate.
    pub copies: usize,
    /// How many requests were made: the first of each delivery, and the repetitions.
    pub requests: usize,
    /// How many of them repeated a request that was refused, lost or without a response.
    pub retries: usize,
    /// How many deliveries got a 2xx.
    pub acknowledged: usize,
    /// How many events got a 2xx at least once: what the receiver has to have.
    pub acknowledged_events: usize,
    /// How many requests got each other status.
    pub refused: BTreeMap<u16, usize>,
    /// How many requests got no response, by [reason](NoResponse::as_str).
    pub unanswered: BTreeMap<&'static str, usize>,
    /// The deliveries that were abandoned, in the order in which that happened.
    pub undelivered: Vec<Undelivered>,
    /// From a request to its response, whatever its status.
    pub latency: Latency,
    /// How long the run took.
    pub elapsed: Duration,
    /// The SHA-256 over the bodies of all deliveries in the order planned: the same for the same seed.
    pub bodies_sha256: String,
}

/// A delivery that was abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undelivered {
    /// The key of its event, if it has one.
    pub key: Option<String>,
    /// The type of its event, if it has one.
    pub event_type: Option<String>,
    /// How many requests were made for it.
    pub attempts: u32,
    /// The result of the last request.
    pub last: Result<u16, NoResponse>,
}

impl Undelivered {
    pub(super) fn new(body: &Bytes, attempts: u32, last: Result<u16, NoResponse>) -> Self {
        let envelope = Envelope::parse(body).ok();
        Self {
            key: envelope.as_ref().map(|envelope| envelope.idempotency_key.to_string()),
            event_type: envelope.map(|envelope| envelope.event_type.into_owned()),
            attempts,
            last,
        }
    }

    fn json(&self) -> Value {
        let last = match &self.last {
            Ok(status) => json!(status),
            Err(reason) => json!(reason.to_string()),
        };
        json!({ "idempotencyKey": self.key, "eventType": self.event_type, "attempts": self.attempts, "last": last })
    }
}

/// How long responses took. All zero when there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Latency {
    pub(super) fn of(mut answers: Vec<Duration>) -> Self {
        answers.sort_unstable();
        // The smallest value that at least this many of a hundred do not exceed.
        let percentile = |percent: usize| {
            let rank = (answers.len() * percent).div_ceil(100).max(1) - 1;
            answers.get(rank).copied().unwrap_or_default()
        };
        Self { p50: percentile(50), p95: percentile(95), p99: percentile(99), max: percentile(100) }
    }
}

impl Report {
    pub(super) fn new(events: usize, deliveries: usize, bodies_sha256: String) -> Self {
        Self {
            events,
            deliveries,
            copies: 0,
            requests: 0,
            retries: 0,
            acknowledged: 0,
            acknowledged_events: 0,
            refused: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            undelivered: Vec::new(),
            latency: Latency::default(),
            elapsed: Duration::ZERO,
            bodies_sha256,
        }
    }

    /// Records the result of a request; returns whether it was a 2xx.
    pub(super) fn note(&mut self, outcome: &Result<u16, NoResponse>) -> bool {
        match outcome {
            Ok(200..=299) => return true,
            Ok(status) => *self.refused.entry(*status).or_default() += 1,
            Err(reason) => *self.unanswered.entry(reason.as_str()).or_default() += 1,
        }
        false
    }

    /// Whether every delivery was acknowledged in the end.
    pub fn is_complete(&self) -> bool {
        self.undelivered.is_empty()
    }

    /// Everything as JSON, times in ms; of the abandoned deliveries the first hundred.
    pub fn json(&self) -> Value {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let refused: BTreeMap<String, usize> =
            self.refused.iter().map(|(status, n)| (status.to_string(), *n)).collect();
        json!({
            "events": self.events,
            "deliveries": self.deliveries,
            "copies": self.copies,
            "requests": self.requests,
            "retries": self.retries,
            "acknowledged": self.acknowledged,
            "acknowledgedEvents": self.acknowledged_events,
            "refused": refused,
            "unanswered": self.unanswered,
            "givenUp": self.undelivered.len(),
            "givenUpFirst": self.undelivered.iter().take(100).map(Undelivered::json).collect::<Vec<_>>(),
            "latencyMs": {
                "p50": millis(self.latency.p50),
                "p95": millis(self.latency.p95),
                "p99": millis(self.latency.p99),
                "max": millis(self.latency.max),
            },
            "elapsedMs": millis(self.elapsed),
            "bodiesSha256": self.bodies_sha256,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let latency = Latency::of((1..=200).rev().map(Duration::from_millis).collect());
        let expected = [100, 190, 198, 200].map(Duration::from_millis);
        assert_eq!([latency.p50, latency.p95, latency.p99, latency.max], expected);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
        assert_eq!(Latency::of(vec![Duration::from_millis(3)]).p50, Duration::from_millis(3));
    }
}
