//! Assertions about deliveries, and their messages on failure.

use std::fmt::Write as _;

use jaas_core::event::EventKind;
use jaas_core::{Delivery, Disposition, Incoming};
use serde_json::Value;

use super::Arrival;
use crate::event::EventBuilder;

/// How many deliveries a message lists.
const LISTED: usize = 20;
/// How many differences a message lists.
const DIFFERENCES: usize = 8;

/// What an assertion looks for. Built from
/// - an [`EventKind`]: any event of that kind;
/// - a `&str`: any event of that `eventType`;
/// - a JSON value, as of `serde_json::json!`: any body that has **at least** what the value has. Objects may have more
///   fields, lists must have the same length, and `null` also stands for a field that is absent;
/// - an [`EventBuilder`]: exactly that event, its key included.
#[derive(Debug, Clone)]
pub struct EventMatcher(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Kind(EventKind),
    Body(Value),
}

impl From<EventKind> for EventMatcher {
    fn from(kind: EventKind) -> Self {
        Self(Kind::Kind(kind))
    }
}

impl From<&str> for EventMatcher {
    fn from(event_type: &str) -> Self {
        Self(Kind::Body(serde_json::json!({ "eventType": event_type })))
    }
}

impl From<Value> for EventMatcher {
    fn from(body: Value) -> Self {
        Self(Kind::Body(body))
    }
}

impl<P> From<EventBuilder<P>> for EventMatcher {
    fn from(event: EventBuilder<P>) -> Self {
        Self(Kind::Body(event.json()))
    }
}

impl<P> From<&EventBuilder<P>> for EventMatcher {
    fn from(event: &EventBuilder<P>) -> Self {
        Self(Kind::Body(event.json()))
    }
}

impl EventMatcher {
    fn describe(&self) -> String {
        match &self.0 {
            Kind::Kind(kind) => kind.to_string(),
            Kind::Body(Value::Object(fields)) if fields.len() == 1 && fields.contains_key("eventType") => {
                fields["eventType"].as_str().map_or_else(|| fields["eventType"].to_string(), str::to_owned)
            }
            Kind::Body(body) => body.to_string(),
        }
    }

    /// How the delivery differs from this; empty when it does not.
    fn differences(&self, received: &Incoming) -> Vec<String> {
        let mut differences = Vec::new();
        match (&self.0, received) {
            (Kind::Kind(kind), Incoming::Event(delivery)) if delivery.envelope.kind == *kind => {}
            (Kind::Kind(kind), _) => differences.push(format!("wanted {kind}")),
            (Kind::Body(wanted), received) => match serde_json::from_slice(body(received)) {
                Ok(came) => compare("", wanted, &came, &mut differences),
                Err(error) => differences.push(format!("it is not JSON: {error}")),
            },
        }
        differences
    }
}

/// Collects where `came` lacks something of `wanted`.
fn compare(path: &str, wanted: &Value, came: &Value, differences: &mut Vec<String>) {
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (wanted, came) {
        (Value::Object(wanted), Value::Object(came)) => {
            for (name, wanted) in wanted {
                match came.get(name) {
                    Some(came) => compare(&inside(name), wanted, came, differences),
                    None if wanted.is_null() => {}
                    None => differences.push(format!("{}: wanted {wanted}, but it is absent", inside(name))),
                }
            }
        }
        (Value::Array(wanted), Value::Array(came)) if wanted.len() == came.len() => {
            for (index, (wanted, came)) in wanted.iter().zip(came).enumerate() {
                compare(&inside(&index.to_string()), wanted, came, differences);
            }
        }
        (wanted, came) if wanted == came => {}
        (wanted, came) => {
            let place = if path.is_empty() { "the body" } else { path };
            differences.push(format!("{place}: wanted {wanted}, was {came}"));
        }
    }
}

/// The deliveries that match, for further assertions.
#[derive(Debug, Clone)]
pub struct Matches {
    wanted: String,
    fitting: Vec<Arrival>,
    /// What a message says about everything that came.
    story: String,
}

impl Matches {
    pub(super) fn of(wanted: &EventMatcher, arrivals: Vec<Arrival>) -> Self {
        let differences: Vec<_> =
            arrivals.iter().map(|arrival| wanted.differences(&arrival.received)).collect();
        let story = story(&arrivals, &differences);
        let fitting =
            arrivals.into_iter().zip(&differences).filter(|(_, differences)| differences.is_empty());
        Self { wanted: wanted.describe(), fitting: fitting.map(|(arrival, _)| arrival).collect(), story }
    }

    #[track_caller]
    pub(super) fn assert_any(&self) {
        assert!(!self.fitting.is_empty(), "{} was not received\n{}", self.wanted, self.story);
    }

    /// Asserts that this many deliveries match, copies included.
    ///
    /// # Panics
    /// When there were more or fewer; the message lists what came.
    #[track_caller]
    pub fn times(self, times: usize) -> Self {
        let came = self.fitting.len();
        assert!(came == times, "{} was received {came} times, not {times}\n{}", self.wanted, self.story);
        self
    }

    /// Asserts that this many different events match: deliveries with different keys or endpoints.
    ///
    /// # Panics
    /// When there were more or fewer; the message lists what came.
    #[track_caller]
    pub fn events(self, events: usize) -> Self {
        let mut keys: Vec<_> = self.deliveries().iter().map(key).collect();
        keys.sort();
        keys.dedup();
        let came = keys.len();
        assert!(came == events, "{} fits {came} events, not {events}\n{}", self.wanted, self.story);
        self
    }

    /// Asserts that the matching deliveries had these results, in this order; `None` is 503.
    ///
    /// # Panics
    /// When the results differ; the message lists what came.
    #[track_caller]
    pub fn answered(self, answers: &[Option<Disposition>]) -> Self {
        let came: Vec<_> = self
            .fitting
            .iter()
            .map(|arrival| arrival.answer.as_ref().and_then(|answer| answer.as_ref().ok().copied()))
            .collect();
        assert!(came == answers, "{} had the results {came:?}, not {answers:?}\n{}", self.wanted, self.story);
        self
    }

    /// The matching deliveries, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let deliveries = self.fitting.iter().filter_map(|arrival| match &arrival.received {
            Incoming::Event(delivery) => Some(delivery.clone()),
            Incoming::Unreadable(_) => None,
        });
        deliveries.collect()
    }
}

fn key(delivery: &Delivery) -> (String, String) {
    (delivery.endpoint.to_string(), delivery.envelope.idempotency_key.to_string())
}

fn body(received: &Incoming) -> &[u8] {
    match received {
        Incoming::Event(delivery) => delivery.body(),
        Incoming::Unreadable(unreadable) => unreadable.body(),
    }
}

/// What came, and how the nearest of what does not match differs.
fn story(arrivals: &[Arrival], differences: &[Vec<String>]) -> String {
    if arrivals.is_empty() {
        return "nothing was received".to_owned();
    }
    let mut story = format!("received ({}):\n", arrivals.len());
    // Writing to a string does not fail.
    for (number, arrival) in arrivals.iter().enumerate().take(LISTED) {
        let _ = writeln!(story, "  #{} {}", number + 1, line(arrival));
    }
    if arrivals.len() > LISTED {
        let _ = writeln!(story, "  … and {} more", arrivals.len() - LISTED);
    }
    let nearest = differences.iter().enumerate().min_by_key(|(_, differences)| differences.len());
    if let Some((number, differences)) = nearest.filter(|(_, differences)| !differences.is_empty()) {
        let _ = writeln!(story, "the nearest is #{}, which differs:", number + 1);
        for difference in differences.iter().take(DIFFERENCES) {
            let _ = writeln!(story, "  {difference}");
        }
        if differences.len() > DIFFERENCES {
            let _ = writeln!(story, "  … and in {} more places", differences.len() - DIFFERENCES);
        }
    }
    story
}

fn line(arrival: &Arrival) -> String {
    let what = match &arrival.received {
        Incoming::Event(delivery) => format!(
            "{} {} to {}",
            delivery.envelope.event_type, delivery.envelope.idempotency_key, delivery.endpoint
        ),
        Incoming::Unreadable(unreadable) => {
            format!("unreadable, {}, to {}", unreadable.reason, unreadable.endpoint)
        }
    };
    let answer = match &arrival.answer {
        Some(Ok(disposition)) => disposition.as_str().to_owned(),
        Some(Err(error)) => format!("503, {error}"),
        None => "no result".to_owned(),
    };
    let failure = arrival.failure.as_ref().map(|failure| format!(" ({failure})")).unwrap_or_default();
    format!("{what}: {answer}{failure}")
}
