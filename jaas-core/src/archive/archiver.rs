//! The loop of a running archiver: claim, fetch, renew, report, stop.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Archive;
use super::handler::ArtifactHandler;
use super::job::Jobs;
use super::store::{ArtifactClaimRequest, ArtifactLease, ArtifactStore};
use crate::store::StoreError;
use crate::telemetry::{self, Escaped, target};
use crate::timestamp::Timestamp;

/// How many artifacts whose link has died are settled at once.
const EXPIRED: usize = 16;

/// How many risks are reported in one go.
const RISKS: u32 = 100;

/// How long after an event was handled its artifact is looked for: its transaction is committed by then.
const COMMITTED: Duration = Duration::from_millis(50);

/// How long to wait at most while the store is unavailable.
const LONGEST_WAIT_IN_OUTAGE: Duration = Duration::from_secs(5);

/// How long jobs that are cut off may take to clean up.
const CUT_OFF: Duration = Duration::from_secs(5);

/// How often what is open is counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How a task ended.
enum Ended {
    /// A job, and its lease if it is to be given back.
    Job(Option<ArtifactLease>),
    /// Risks were reported; whether all were.
    Risks(bool),
}

/// What a running task holds.
struct Held {
    /// `None` of the task that reports risks.
    lease: Option<ArtifactLease>,
    /// Whether it takes one of the places for downloads.
    downloads: bool,
    cut: CancellationToken,
}

/// The state of a running archiver.
pub(super) struct Archiver<S: ArtifactStore> {
    jobs: Arc<Jobs<S>>,
    added: Arc<Notify>,
    tasks: JoinSet<Ended>,
    held: HashMap<Id, Held>,
    /// When the last renewal began that left every lease held then with its full length.
    renewed_at: Timestamp,
    counted_at: Option<Instant>,
    outages: u32,
    /// No risk is reported before this, because a report has failed.
    no_risks_before: Instant,
}

impl<S: ArtifactStore> Archiver<S> {
    pub(super) fn new(archive: &Archive<S>, handler: Arc<dyn ArtifactHandler<S::Tx>>) -> Self {
        let settings = archive.settings.clone();
        let renewed_at = settings.clock.now();
        let jobs = Jobs {
            store: archive.store.clone(),
            sink: archive.sink.clone(),
            fetcher: archive.fetcher.clone(),
            handler,
            settings,
        };
        Self {
            jobs: Arc::new(jobs),
            added: archive.added.clone(),
            tasks: JoinSet::new(),
            held: HashMap::new(),
            renewed_at,
            counted_at: None,
            outages: 0,
            no_risks_before: Instant::now(),
        }
    }

    /// Works until `stop` resolves to the grace period.
    pub(super) async fn until(mut self, stop: impl Future<Output = Duration> + Send) {
        tokio::pin!(stop);
        let added = self.added.clone();
        let mut renewal = interval(self.jobs.settings.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                grace = &mut stop => return self.stop(grace, renewal).await,
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.ended(ended).await;
                    if self.outages == 0 {
                        look_at = Instant::now();
                    }
                }
                _ = renewal.tick() => self.renew().await,
                () = added.notified() => look_at = look_at.min(Instant::now() + COMMITTED),
                () = sleep_until(look_at) => {
                    let wait = tokio::select! {
                        biased;
                        wait = self.look() => wait,
                        grace = &mut stop => return self.stop(grace, renewal).await,
                    };
                    look_at = Instant::now() + wait;
                }
            }
        }
    }

    /// Claims what is due, and begins with it; returns how long to wait before the next look.
    async fn look(&mut self) -> Duration {
        match self.begin().await {
            Ok(wait) => {
                if self.outages > 0 {
                    tracing::info!(target: target::ARCHIVE, "the store is available again");
                    self.outages = 0;
                }
                wait
            }
            Err(error) => {
                if self.outages == 0 {
                    tracing::warn!(
                        target: target::ARCHIVE, error = %Escaped(&error),
                        "store unavailable; trying again"
                    );
                }
                self.outages = self.outages.saturating_add(1);
                self.jobs.settings.poll_interval.saturating_mul(self.outages).min(LONGEST_WAIT_IN_OUTAGE)
            }
        }
    }

    async fn begin(&mut self) -> Result<Duration, StoreError> {
        let settings = self.jobs.settings.clone();
        // After an outage, or when the clock jumped, leases may have run out. They are renewed first, or this very
        // claim would take its own live work for crashed.
        if settings.clock.now().duration_since(self.renewed_at) > settings.lease / 2 {
            self.renew().await;
        }
        self.count().await?;
        let downloads = self.held.values().filter(|held| held.downloads).count();
        let others = self.held.values().filter(|held| held.lease.is_some() && !held.downloads).count();
        let now = settings.clock.now();
        let mut request = ArtifactClaimRequest::new(settings.name.clone(), now, 0);
        request.limit = settings.concurrency.saturating_sub(downloads);
        request.expired = EXPIRED.saturating_sub(others);
        request.lease = settings.lease;
        let full = request.limit == 0 || request.expired == 0;
        for claim in self.jobs.store.claim_artifacts(&request).await? {
            let downloads = claim.deadline > now;
            let (jobs, cut, lease) = (self.jobs.clone(), CancellationToken::new(), claim.lease);
            let token = cut.clone();
            let run = async move { Ended::Job(jobs.run(claim, token).await) };
            let task = self.tasks.spawn(telemetry::heard(run));
            self.held.insert(task.id(), Held { lease: Some(lease), downloads, cut });
        }
        self.begin_risks(now).await?;
        let poll = settings.poll_interval;
        Ok(match self.jobs.store.next_artifact(settings.clock.now()).await? {
            // What is due waits for a place, which the end of a task makes.
            Some(wait) if wait.is_zero() && full => poll,
            // What is due cannot be claimed, or its risk is being reported: not without a pause.
            Some(wait) => wait.clamp(poll.min(COMMITTED), poll),
            None => poll,
        })
    }

    /// Reports risks in a task, one after the other.
    async fn begin_risks(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let is_reporting = self.held.values().any(|held| held.lease.is_none());
        if is_reporting || Instant::now() < self.no_risks_before {
            return Ok(());
        }
        let risks = self.jobs.store.artifacts_at_risk(now, RISKS).await?;
        if !risks.is_empty() {
            let (jobs, cut) = (self.jobs.clone(), CancellationToken::new());
            let token = cut.clone();
            let run = async move { Ended::Risks(jobs.at_risk(risks, token).await) };
            let task = self.tasks.spawn(telemetry::heard(run));
            self.held.insert(task.id(), Held { lease: None, downloads: false, cut });
        }
        Ok(())
    }

    async fn count(&mut self) -> Result<(), StoreError> {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        let stats = self.jobs.store.artifact_stats().await?;
        self.counted_at = Some(Instant::now());
        telemetry::ARTIFACTS_OPEN.set(stats.open as f64, []);
        if let Some(deadline) = stats.oldest_deadline {
            let left = deadline.as_millis().saturating_sub(self.jobs.settings.clock.now().as_millis());
            telemetry::ARTIFACT_DEADLINE_SECONDS.set(left as f64 / 1000.0, []);
        } else {
            // Nothing waits: as far away as a deadline ever is.
            telemetry::ARTIFACT_DEADLINE_SECONDS.set(48.0 * 60.0 * 60.0, []);
        }
        Ok(())
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), tokio::task::JoinError>) {
        match ended {
            Ok((id, ended)) => {
                self.held.remove(&id);
                match ended {
                    Ended::Job(Some(lease)) => self.release(&[lease]).await,
                    Ended::Risks(false) => {
                        self.no_risks_before = Instant::now()
                            + self.jobs.settings.backoff.max_delay.min(Duration::from_secs(10));
                    }
                    Ended::Job(None) | Ended::Risks(true) => {}
                }
            }
            Err(error) => {
                // A panic, which is a bug of this crate, of a sink or of a fetcher. The lease ends by itself.
                self.held.remove(&error.id());
                tracing::error!(target: target::ARCHIVE, "a download panicked; the file will be fetched again");
            }
        }
    }

    async fn renew(&mut self) {
        let leases: Vec<_> = self.held.values().filter_map(|held| held.lease).collect();
        let began = self.jobs.settings.clock.now();
        if leases.is_empty() {
            self.renewed_at = began;
            return;
        }
        match self.jobs.store.renew_artifacts(&leases, began, self.jobs.settings.lease).await {
            Ok(lost) => {
                self.renewed_at = began;
                for held in self.held.values() {
                    if held.lease.is_some_and(|lease| lost.contains(&lease)) {
                        held.cut.cancel();
                    }
                }
            }
            Err(error) => {
                tracing::warn!(target: target::ARCHIVE, error = %Escaped(&error), "leases not renewed; trying again");
            }
        }
    }

    async fn release(&self, leases: &[ArtifactLease]) {
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.jobs.store.release_artifacts(leases, self.jobs.settings.clock.now()).await {
            tracing::warn!(
                target: target::ARCHIVE, error = %Escaped(&error),
                "not given back; the files are fetched again when their leases end"
            );
        }
    }

    /// Lets tasks finish for so long, then cuts them off and gives their artifacts back.
    async fn stop(mut self, grace: Duration, mut renewal: tokio::time::Interval) {
        let until = Instant::now() + grace;
        while !self.tasks.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                () = sleep_until(until) => break,
                _ = renewal.tick() => self.renew().await,
            }
        }
        self.held.values().for_each(|held| held.cut.cancel());
        let until = Instant::now() + CUT_OFF;
        while let Ok(Some(ended)) = timeout_at(until, self.tasks.join_next_with_id()).await {
            self.ended(ended).await;
        }
    }
}
