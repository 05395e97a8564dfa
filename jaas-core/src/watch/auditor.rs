//! The loop of a running auditor: claim, compare, report, stop.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};
use tracing::instrument::WithSubscriber as _;

use super::audit::audit;
use super::builder::Settings;
use super::endpoint::Endpoints;
use super::expect::{Expectation, expectations};
use super::handler::GapHandler;
use super::rule::{Rule, Severity};
use super::store::{Gap, GapChange, GapRecord, GapStore, SessionClaim, SessionClaimRequest};
use crate::attempt::{error_text, panic_message};
use crate::handler::{Handled, HandlerError};
use crate::store::{StoreError, StoreErrorKind, TxWork};
use crate::telemetry::{self, Escaped, target};
use crate::timestamp::Timestamp;

/// How many sessions are audited at the same time.
const AT_ONCE: usize = 8;

/// The longest wait while the store is unavailable.
const LONGEST_WAIT_IN_OUTAGE: Duration = Duration::from_secs(60);

/// The interval between two counts of what is open.
const COUNT_INTERVAL: Duration = Duration::from_secs(15);

/// The interval between two records of what is seen of endpoints.
const ENDPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// What was recorded of a gap, for the log and the application.
#[derive(Clone)]
enum News {
    Found(Gap),
    Closed(GapRecord),
}

impl News {
    fn gap(&self) -> &Gap {
        match self {
            Self::Found(gap) => gap,
            Self::Closed(record) => &record.gap,
        }
    }

    fn change(&self) -> GapChange {
        match self {
            Self::Found(gap) => GapChange::Found(gap.clone()),
            Self::Closed(record) => GapChange::Closed(record.id),
        }
    }
}

/// When the loop did last what it does not do in each round.
#[derive(Default)]
struct Rounds {
    recorded_at: Option<Instant>,
    counted_at: Option<Instant>,
}

fn is_time(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|at| at.elapsed() >= interval)
}

/// A running auditor.
pub(super) struct Auditor<S: GapStore> {
    pub(super) store: Arc<S>,
    pub(super) handler: Arc<dyn GapHandler<S::Tx>>,
    pub(super) settings: Settings,
    pub(super) endpoints: Endpoints,
}

impl<S: GapStore> Auditor<S> {
    /// Works until `stop` resolves to the grace period, and finishes the round that runs then, if it ends within it.
    pub(super) async fn until(self, stop: impl Future<Output = Duration> + Send) {
        tokio::pin!(stop);
        let (mut outages, mut rounds) = (0_u32, Rounds::default());
        loop {
            let wait = {
                let round = self.round(&mut rounds);
                tokio::pin!(round);
                let result = tokio::select! {
                    biased;
                    grace = &mut stop => {
                        // What is cut off is rolled back, and its leases end by themselves.
                        let _ = timeout(grace, round).await;
                        return;
                    }
                    result = &mut round => result,
                };
                self.pause(result, &mut outages)
            };
            tokio::select! {
                biased;
                _ = &mut stop => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// How long to wait after a round.
    fn pause(&self, result: Result<Duration, StoreError>, outages: &mut u32) -> Duration {
        match result {
            Ok(wait) => {
                if *outages > 0 {
                    tracing::info!(target: target::WATCH, "the store is available again");
                    *outages = 0;
                }
                wait
            }
            Err(error) => {
                *outages = outages.saturating_add(1);
                let wait = self.settings.interval.saturating_mul(*outages).min(LONGEST_WAIT_IN_OUTAGE);
                if *outages == 1 {
                    let error = Escaped(&error);
                    tracing::warn!(target: target::WATCH, %error, ?wait, "store unavailable; trying again");
                }
                wait
            }
        }
    }

    /// Audits until nothing is due; returns how many sessions that were.
    pub(super) async fn everything_due(&self) -> Result<u64, StoreError> {
        self.record_endpoints().await?;
        let mut audited = 0;
        loop {
            match self.batch().await? {
                0 => return Ok(audited),
                sessions => audited += sessions as u64,
            }
        }
    }

    /// Audits what is due; returns how long to wait before the next round.
    async fn round(&self, rounds: &mut Rounds) -> Result<Duration, StoreError> {
        let settings = &self.settings;
        // Before the audit: hours in which the process did not run are not silence.
        if is_time(rounds.recorded_at, ENDPOINT_INTERVAL) {
            self.record_endpoints().await?;
            rounds.recorded_at = Some(Instant::now());
        }
        let full = self.batch().await? >= settings.batch;
        if is_time(rounds.counted_at, COUNT_INTERVAL) {
            self.count().await?;
            rounds.counted_at = Some(Instant::now());
        }
        if full {
            return Ok(Duration::ZERO);
        }
        let next = self.store.next_session(settings.clock.now()).await?;
        let shortest = settings.interval.min(Duration::from_millis(50));
        Ok(next.unwrap_or(settings.interval).clamp(shortest, settings.interval))
    }

    /// Writes down what the receivers of this process see.
    async fn record_endpoints(&self) -> Result<(), StoreError> {
        for report in self.endpoints.reports(&self.settings.rules, self.settings.clock.now()) {
            self.store.record_endpoint(&report.new, report.forget_before).await?;
            report.done();
        }
        Ok(())
    }

    /// Audits sessions that are due; returns how many were.
    async fn batch(&self) -> Result<usize, StoreError> {
        let settings = &self.settings;
        let mut request =
            SessionClaimRequest::new(settings.name.clone(), settings.clock.now(), settings.batch);
        request.lease = settings.lease;
        let claims = self.store.claim_sessions(&request).await?;
        let claimed = claims.len();
        let audits: Vec<_> =
            stream::iter(claims).map(|claim| self.audited(claim)).buffer_unordered(AT_ONCE).collect().await;
        let (mut finished, mut failed) = (Vec::new(), None);
        for audit in audits {
            match audit {
                Ok(audit) => finished.extend(audit),
                Err(error) => failed = Some(error),
            }
        }
        if !finished.is_empty() {
            self.store.finish_sessions(&finished, settings.clock.now()).await?;
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(claimed),
        }
    }

    /// Audits a session; `None` when another auditor has taken it over. Otherwise, when it is due again.
    async fn audited(
        &self,
        claim: SessionClaim,
    ) -> Result<Option<(SessionClaim, Option<Timestamp>)>, StoreError> {
        let watched = self.store.watched(&claim.lease.session).await?;
        let session = &claim.lease.session;
        let expected = expectations(&self.settings.rules, session, claim.last_seen_at, &watched.sightings);
        let findings = audit(&expected, &watched.gaps, claim.now);
        let mut next = findings.next;
        let found = findings.found.iter().map(|expectation| News::Found(gap(&claim, expectation)));
        let closed = findings.closed.into_iter().cloned().map(News::Closed);
        for news in found.chain(closed) {
            let change = news.change();
            let work = self.reporting(news.clone());
            let changed = self.store.change_gap(&claim.lease, &change, self.settings.clock.now(), work).await;
            match changed {
                Ok(Ok(_)) => recorded(&news),
                Ok(Err(failed)) => next = Some(self.again(&news, &failed, next)),
                Err(error)
                    if matches!(error.kind(), StoreErrorKind::Refused | StoreErrorKind::TransactionEnded) =>
                {
                    next = Some(self.again(&news, &HandlerError::retry(error), next));
                }
                Err(error) if error.kind() == StoreErrorKind::StaleLease => {
                    let session = Escaped(session);
                    tracing::debug!(target: target::WATCH, %session, "another auditor has taken the session over");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some((claim, next)))
    }

    /// When a gap is reported again that the handler failed to handle.
    fn again(&self, news: &News, failed: &HandlerError, next: Option<Timestamp>) -> Timestamp {
        let (gap, wait) = (news.gap(), self.settings.retry_interval);
        let (error, rule) = (error_text(failed), gap.rule.as_str());
        let (session, error) = (Escaped(&gap.session_id), Escaped(&error));
        tracing::warn!(
            target: target::WATCH, %session, rule, %error, ?wait, "the gap handler failed; it will be called again"
        );
        let at = self.settings.clock.now().saturating_add(wait);
        next.map_or(at, |next| next.min(at))
    }

    fn reporting(&self, news: News) -> TxWork<S::Tx> {
        let (handler, limit) = (self.handler.clone(), self.settings.handler_timeout);
        // A store may run it on another thread, where the subscriber may be another one.
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        Box::new(move |tx| {
            let call = async move {
                let call = async {
                    match &news {
                        News::Found(gap) => handler.on_gap(tx, gap).await,
                        News::Closed(record) => handler.on_closed(tx, record).await,
                    }
                };
                match timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
                    Ok(Ok(result)) => result.map(|()| Handled::Done),
                    Ok(Err(panic)) => {
                        let error = format!("the handler panicked: {}", panic_message(&*panic));
                        Err(HandlerError::retry(error))
                    }
                    Err(_) => Err(HandlerError::retry(format!("the handler took longer than {limit:?}"))),
                }
            };
            Box::pin(call.with_subscriber(subscriber))
        })
    }

    async fn count(&self) -> Result<(), StoreError> {
        let counts = self.store.gap_counts().await?;
        for rule in Rule::ALL {
            let open = counts.iter().find(|count| count.rule == rule).map_or(0, |count| count.open);
            telemetry::GAPS_OPEN.set(open as f64, [rule.as_str().into(), rule.severity().as_str().into()]);
        }
        Ok(())
    }
}

fn gap(claim: &SessionClaim, expectation: &Expectation) -> Gap {
    let Expectation { rule, subject, seen_at, due_at, participant, .. } = expectation;
    let session = claim.lease.session.clone();
    let mut gap = Gap::new(*rule, session, claim.fqn.clone(), subject.as_str(), *seen_at, *due_at);
    gap.participant_id = participant.clone();
    gap
}

/// Counts and logs a gap that is recorded.
fn recorded(news: &News) {
    const FOUND: &str = "gap found: an event that should have come did not";
    let gap = news.gap();
    let (rule, severity) = (gap.rule.as_str(), gap.severity.as_str());
    let change = if matches!(news, News::Found(_)) { "found" } else { "closed" };
    telemetry::GAPS.add(1, [rule.into(), severity.into(), change.into()]);
    let (session, expected) = (Escaped(&gap.session_id), gap.rule.expected());
    let seen_at = gap.seen_at;
    match (news, gap.severity) {
        (News::Closed(record), _) => {
            let gap = record.id;
            tracing::info!(target: target::WATCH, %session, rule, expected, %gap, "gap closed: it has come");
        }
        (News::Found(_), Severity::Critical) => {
            tracing::error!(target: target::WATCH, %session, rule, expected, %seen_at, "{FOUND}; a file may be lost");
        }
        (News::Found(_), Severity::Warning) => {
            tracing::warn!(target: target::WATCH, %session, rule, expected, %seen_at, "{FOUND}");
        }
        (News::Found(_), Severity::Info) => {
            tracing::info!(target: target::WATCH, %session, rule, expected, %seen_at, "{FOUND}");
        }
    }
}
