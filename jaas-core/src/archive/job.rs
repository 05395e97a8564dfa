//! The work on one artifact: fetching it, and calling the application's handler.

mod recording;
mod reporting;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::artifact::Artifact;
use super::builder::Settings;
use super::download::{Download, Trouble};
use super::fetch::{Fetch, FetchErrorKind};
use super::handler::{ArtifactHandler, AtRisk, Lost};
use super::links::links;
use super::sink::Sink;
use super::store::{ArtifactClaim, ArtifactLease, ArtifactStore, Kept, LostWhy};
use crate::attempt::error_text;
use crate::delivery::Delivery;
use crate::handler::HandlerError;
use crate::private::Link;
use crate::store::StoreError;
use crate::telemetry::{self, name, target};
use crate::timestamp::Timestamp;

/// What every job of an archiver shares.
pub(super) struct Jobs<S: ArtifactStore> {
    pub(super) store: Arc<S>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) fetcher: Arc<dyn Fetch>,
    pub(super) handler: Arc<dyn ArtifactHandler<S::Tx>>,
    pub(super) settings: Settings,
}

/// What the application's handler is called with.
#[derive(Clone)]
enum News {
    Stored(Kept),
    AtRisk(AtRisk),
    Lost(Lost),
}

/// A claimed artifact, and its link as it is in the event.
struct Job {
    artifact: Arc<Artifact>,
    link: Option<Link>,
}

/// Why an artifact is not settled by this claim.
enum Unsettled {
    /// The archiver stops, or the lease was lost.
    Cut,
    Store(StoreError),
}

impl From<StoreError> for Unsettled {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Job {
    /// The artifact of a claim; the reason when its event cannot be parsed any more.
    fn of(claim: ArtifactClaim) -> Result<Self, String> {
        let delivery = Delivery::parse(claim.endpoint.clone(), claim.received_at, Bytes::clone(&claim.body))
            .map_err(|unreadable| {
                format!("the stored body cannot be parsed any more: {}", unreadable.reason)
            })?;
        let found = links(&delivery).into_iter().find(|link| link.slot == claim.slot);
        let (link, extension, file_name) = match found {
            Some(found) => (Some(found.link), found.extension, found.file_name),
            None => (None, String::new(), None),
        };
        let artifact = Artifact {
            id: claim.lease.artifact,
            event: claim.event,
            endpoint: claim.endpoint,
            occurred_at: delivery.occurred_at(),
            idempotency_key: delivery.envelope.idempotency_key,
            event_type: delivery.envelope.event_type.into_owned(),
            slot: claim.slot,
            kind: claim.kind,
            app_id: delivery.envelope.app_id,
            fqn: delivery.envelope.fqn,
            session_id: delivery.envelope.session_id,
            deadline: claim.deadline,
            failures: claim.failures,
            extension,
            file_name,
        };
        Ok(Self { artifact: Arc::new(artifact), link })
    }
}

impl<S: ArtifactStore> Jobs<S> {
    /// Does what is to be done with a claimed artifact, and records it. Returns the lease if it is to be given back.
    pub(super) async fn run(&self, claim: ArtifactClaim, cut: CancellationToken) -> Option<ArtifactLease> {
        let lease = claim.lease;
        let span = tracing::info_span!(
            target: target::ARCHIVE, parent: None, name::ARTIFACT, artifact = lease.artifact.get(),
            event = claim.event.get(), endpoint = &*claim.endpoint, artifact_kind = claim.kind.as_str(),
            attempt = claim.failures.saturating_add(1), worker = &*self.settings.name, fence = lease.fence,
            trace_id = telemetry::trace_id(claim.trace.as_ref()),
        );
        let work = async {
            match self.work(claim, &cut).await {
                Ok(()) => None,
                Err(Unsettled::Cut) => Some(lease),
                Err(Unsettled::Store(error)) => {
                    recording::log_unrecorded(lease, &error);
                    None
                }
            }
        };
        work.instrument(span).await
    }

    async fn work(&self, claim: ArtifactClaim, cut: &CancellationToken) -> Result<(), Unsettled> {
        let (lease, failures) = (claim.lease, claim.failures);
        let (deadline, why) = (claim.deadline, claim.why.unwrap_or(LostWhy::Expired));
        let (kind, kept, error) = (claim.kind, claim.kept.clone(), claim.error.clone());
        let retry = Retry { lease, failures, deadline, why, cut };
        let job = match Job::of(claim) {
            Ok(job) => job,
            Err(error) => return self.postpone(&retry, error, LostWhy::Expired, None).await,
        };
        if let Some(kept) = kept {
            return self.stored(&job, kept, &retry).await;
        }
        let now = self.settings.clock.now();
        if now >= deadline {
            return self.lost(&job, Lost::new(why, error), &retry).await;
        }
        let Some(link) = &job.link else {
            return self.postpone(&retry, "the event has no link".to_owned(), LostWhy::Expired, None).await;
        };
        let name = match (self.settings.names)(&job.artifact) {
            Ok(name) => name,
            Err(error) => {
                return self.postpone(&retry, error.to_string(), LostWhy::Refused, Some(now)).await;
            }
        };
        let download =
            Download { fetcher: &*self.fetcher, sink: &*self.sink, max_bytes: self.settings.max_bytes, cut };
        let began = Instant::now();
        let result = download.run(link, &name).await;
        let outcome = match &result {
            Ok(_) => "fetched",
            Err(Trouble::Cut) => "cut",
            Err(Trouble::Sink(_)) => "sink_failed",
            Err(Trouble::Fetch(error)) => match error.kind() {
                FetchErrorKind::Gone => "gone",
                FetchErrorKind::Refused => "refused",
                FetchErrorKind::NotAllowed => "not_allowed",
                FetchErrorKind::Failed => "failed",
            },
        };
        telemetry::ARTIFACT_SECONDS
            .record(began.elapsed().as_secs_f64(), [kind.as_str().into(), outcome.into()]);
        match result {
            Ok(kept) => {
                telemetry::ARTIFACT_BYTES.add(kept.bytes, [kind.as_str().into()]);
                let recorded = self.recorded(cut, || self.store.keep_artifact(lease, &kept)).await;
                if let Err(error) = recorded {
                    return Err(self.not_wanted(error, &kept).await);
                }
                self.stored(&job, kept, &retry).await
            }
            Err(Trouble::Cut) => Err(Unsettled::Cut),
            Err(Trouble::Sink(error)) => {
                self.postpone(&retry, error.to_string(), LostWhy::Expired, None).await
            }
            Err(Trouble::Fetch(error)) => {
                let text = error_text(&HandlerError::retry(error.to_string()));
                match error.kind() {
                    FetchErrorKind::Gone => {
                        self.lost(&job, Lost::new(LostWhy::Gone, Some(text)), &retry).await
                    }
                    FetchErrorKind::Refused => {
                        self.lost(&job, Lost::new(LostWhy::Refused, Some(text)), &retry).await
                    }
                    FetchErrorKind::NotAllowed => {
                        self.postpone(&retry, text, LostWhy::Refused, Some(now)).await
                    }
                    FetchErrorKind::Failed => self.postpone(&retry, text, LostWhy::Expired, None).await,
                }
            }
        }
    }
}

/// What decides when an artifact is tried again.
struct Retry<'a> {
    lease: ArtifactLease,
    failures: u32,
    deadline: Timestamp,
    /// What the failure before makes of it at the deadline.
    why: LostWhy,
    cut: &'a CancellationToken,
}

impl Retry<'_> {
    fn seed(&self) -> u64 {
        self.lease.artifact.get().unsigned_abs()
    }
}
