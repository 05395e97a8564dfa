//! What the receivers of this process see of their endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::rule::{Rule, Rules};
use super::sighting::{Seen, Sighting};
use super::store::{ENDPOINT, NewSightings};
use crate::id::{Fqn, SessionId};
use crate::timestamp::Timestamp;

/// The unit in which silence is measured, in milliseconds.
pub(super) const HOUR: i64 = 60 * 60 * 1000;

/// With how many weeks before it an hour is compared.
pub(super) const WEEKS: i64 = 8;

/// How long sightings of an endpoint are kept: what is compared, and a week more.
const KEPT: Duration = Duration::from_secs(9 * 7 * 24 * 60 * 60);

/// Fewer refusals than this are not a run: anyone can send them.
const FEWEST: u32 = 3;

/// The time between two records that an endpoint is used.
const GRAIN: i64 = 1000;

/// What the receivers of this process see of their endpoints, for the rules
/// [`EndpointSilent`](Rule::EndpointSilent) and [`EndpointRefuses`](Rule::EndpointRefuses). Clones share it.
///
/// The auditors of the watch write it down once a minute, when there is something new. Give it to each receiver:
///
/// ```
/// use jaas_core::store::MemoryStore;
/// use jaas_core::watch::Watch;
/// use jaas_core::{Auth, Inbox, Receiver};
/// use std::sync::Arc;
///
/// let store = Arc::new(MemoryStore::new());
/// let watch = Watch::builder(store.clone()).build()?;
/// let auth = Auth::signature(["whsec_9635df66714a4cf088ee9d0979dd3bf6"])?;
/// let receiver = Receiver::builder("main", auth, Inbox::new(store)).watched_by(&watch.endpoints()).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<Mutex<Vec<Arc<Endpoint>>>>);

impl Endpoints {
    /// The endpoint of this name. Receivers of the same name share it.
    pub(crate) fn endpoint(&self, name: &Arc<str>) -> Arc<Endpoint> {
        let mut all = self.0.lock();
        if let Some(known) = all.iter().find(|one| one.name == *name) {
            return known.clone();
        }
        let new = Arc::new(Endpoint::new(name.clone()));
        all.push(new.clone());
        new
    }

    /// What is new to write down.
    pub(super) fn reports(&self, rules: &Rules, now: Timestamp) -> Vec<Report> {
        let all = self.0.lock();
        all.iter().filter_map(|endpoint| endpoint.report(rules, now)).collect()
    }
}

/// What is seen of an endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: Arc<str>,
    /// The last authentic delivery, in ms; [`NEVER`] if there was none.
    authentic_at: AtomicI64,
    /// Whether there is a run, which is read without a lock.
    refuses: AtomicBool,
    run: Mutex<Option<Run>>,
    reported: Mutex<Reported>,
}

const NEVER: i64 = i64::MIN;

/// Refusals without an authentic delivery between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: Timestamp,
    last: Timestamp,
    refusals: u32,
}

/// What has been written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Reported {
    hour: Option<i64>,
    authentic_at: Option<Timestamp>,
    run: Option<Run>,
}

/// What is to be written down of an endpoint.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) new: NewSightings,
    /// What is older is not needed.
    pub(super) forget_before: Timestamp,
    endpoint: Arc<Endpoint>,
    reported: Reported,
}

impl Report {
    /// It is written down.
    pub(super) fn done(self) {
        *self.endpoint.reported.lock() = self.reported;
    }
}

impl Endpoint {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            authentic_at: AtomicI64::new(NEVER),
            refuses: AtomicBool::new(false),
            run: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// An authentic delivery came.
    pub(crate) fn authentic(&self, now: Timestamp) {
        // Written only when it says something else: all threads read it.
        let now = now.as_millis();
        if self.authentic_at.load(Ordering::Relaxed).saturating_add(GRAIN) <= now {
            self.authentic_at.fetch_max(now, Ordering::Relaxed);
        }
        if self.refuses.load(Ordering::Relaxed) {
            let mut run = self.run.lock();
            *run = None;
            self.refuses.store(false, Ordering::Relaxed);
        }
    }

    /// A delivery was refused whose signature or other proof is there and not valid.
    pub(crate) fn refused(&self, now: Timestamp) {
        let mut run = self.run.lock();
        let known = run.get_or_insert(Run { first: now, last: now, refusals: 0 });
        known.last = known.last.max(now);
        known.refusals = known.refusals.saturating_add(1);
        self.refuses.store(true, Ordering::Relaxed);
    }

    fn report(self: &Arc<Self>, rules: &Rules, now: Timestamp) -> Option<Report> {
        let (silent, refuses) = (rules.wait(Rule::EndpointSilent), rules.wait(Rule::EndpointRefuses));
        let wait = silent.or(refuses)?;
        let authentic_at = self.authentic_at.load(Ordering::Relaxed);
        let authentic_at = (authentic_at > NEVER).then(|| Timestamp::from_millis(authentic_at));
        let is_long = |run: &Run| {
            run.refusals >= FEWEST && refuses.is_some_and(|wait| run.last.duration_since(run.first) >= wait)
        };
        let run = self.run.lock().filter(is_long);
        let (before, hour) = (*self.reported.lock(), hour_of(now));
        let reported = Reported { hour: Some(hour), authentic_at: authentic_at.or(before.authentic_at), run };
        if reported == before {
            return None;
        }
        let new = |what, slot: String, at| Sighting::new(what, slot, at, now);
        let mut sightings = vec![new(Seen::Listening, hour.to_string(), now)];
        sightings.extend(authentic_at.map(|at| new(Seen::Heard, hour_of(at).to_string(), at)));
        sightings.extend(run.map(|run| Sighting {
            began_at: Some(run.first),
            ..new(Seen::Refused, run.first.as_millis().to_string(), run.last)
        }));
        Some(Report {
            new: NewSightings {
                session: session_of(&self.name),
                fqn: Fqn::new(""),
                sightings,
                now,
                due_at: if run.is_some() { now } else { now.saturating_add(wait) },
            },
            // While nothing comes, everything is kept: what came last is what a gap is about.
            forget_before: authentic_at.unwrap_or(Timestamp::from_millis(0)).saturating_sub(KEPT),
            endpoint: self.clone(),
            reported,
        })
    }
}

/// The hour since the epoch.
pub(super) fn hour_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR)
}

/// Under which id an endpoint is among the sessions.
fn session_of(endpoint: &str) -> SessionId {
    SessionId::new(format!("{ENDPOINT}{endpoint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_795_420_800);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(START.as_secs() + secs)
    }

    fn seen(endpoint: &Arc<Endpoint>, secs: i64) -> Vec<Seen> {
        let report = endpoint.report(&Rules::default(), at(secs));
        let seen = report.iter().flat_map(|report| report.new.sightings.iter().map(|one| one.what)).collect();
        report.into_iter().for_each(Report::done);
        seen
    }

    fn endpoint() -> Arc<Endpoint> {
        Endpoints::default().endpoint(&"main".into())
    }

    #[test]
    fn what_is_not_new_is_not_reported_again() {
        let endpoint = endpoint();
        assert_eq!(seen(&endpoint, 0), [Seen::Listening]);
        assert!(seen(&endpoint, 60).is_empty());
        endpoint.authentic(at(61));
        assert_eq!(seen(&endpoint, 120), [Seen::Listening, Seen::Heard]);
        endpoint.authentic(at(61));
        assert!(seen(&endpoint, 180).is_empty());
        assert_eq!(seen(&endpoint, 3600), [Seen::Listening, Seen::Heard], "a new hour begins");
    }

    #[test]
    fn a_report_that_was_not_written_down_is_made_again() {
        let endpoint = endpoint();
        assert!(endpoint.report(&Rules::default(), at(0)).is_some());
        assert_eq!(seen(&endpoint, 1), [Seen::Listening]);
    }

    #[test]
    fn a_run_of_refusals_is_reported_when_it_has_lasted() {
        let endpoint = endpoint();
        endpoint.authentic(at(0));
        seen(&endpoint, 1);
        [10, 20, 30, 10 + 899].into_iter().for_each(|secs| endpoint.refused(at(secs)));
        assert!(seen(&endpoint, 910).is_empty(), "it has lasted for less than 15 min");
        endpoint.refused(at(10 + 900));
        assert!(seen(&endpoint, 911).contains(&Seen::Refused));
        assert!(seen(&endpoint, 912).is_empty());
    }

    #[test]
    fn an_authentic_delivery_ends_a_run() {
        let endpoint = endpoint();
        [0, 500].into_iter().for_each(|secs| endpoint.refused(at(secs)));
        endpoint.authentic(at(600));
        [700, 800, 1000].into_iter().for_each(|secs| endpoint.refused(at(secs)));
        assert!(!seen(&endpoint, 1000).contains(&Seen::Refused));
    }

    #[test]
    fn two_refusals_are_not_a_run() {
        let endpoint = endpoint();
        [0, 5000].into_iter().for_each(|secs| endpoint.refused(at(secs)));
        assert!(!seen(&endpoint, 5000).contains(&Seen::Refused));
    }

    #[test]
    fn nothing_is_reported_when_the_rules_are_off() {
        let rules = Rules::default().off(Rule::EndpointSilent).off(Rule::EndpointRefuses);
        let endpoint = endpoint();
        endpoint.authentic(at(0));
        assert!(endpoint.report(&rules, at(1)).is_none());
    }

    #[test]
    fn receivers_of_the_same_name_share_an_endpoint() {
        let endpoints = Endpoints::default();
        let [one, same, other] = ["main", "main", "other"].map(|name| endpoints.endpoint(&name.into()));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        let sessions: Vec<_> =
            endpoints.reports(&Rules::default(), at(0)).into_iter().map(|one| one.new.session).collect();
        assert_eq!(sessions, [SessionId::new("endpoint:main"), SessionId::new("endpoint:other")]);
    }
}
