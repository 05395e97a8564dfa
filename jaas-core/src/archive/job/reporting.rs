//! Calling the application's handler, in the transaction that records what became of an artifact.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;

use super::{Job, Jobs, News, Retry, Unsettled};
use crate::archive::artifact::Artifact;
use crate::archive::handler::{ArtifactContext, AtRisk, Lost};
use crate::archive::store::{ArtifactClaim, ArtifactStore, Kept, Settling};
use crate::attempt::panic_message;
use crate::handler::{HandlerError, HandlerResult};
use crate::store::{StoreErrorKind, TxWork};
use crate::telemetry::{self, Escaped, target};

impl<S: ArtifactStore> Jobs<S> {
    /// Reports to the application that a file is kept.
    pub(super) async fn stored(&self, job: &Job, kept: Kept, retry: &Retry<'_>) -> Result<(), Unsettled> {
        let settling = Settling::Stored(retry.lease);
        let reported = self.report(&settling, &job.artifact, News::Stored(kept.clone()), retry.cut).await;
        match reported {
            Ok(Ok(_)) => {}
            Ok(Err(failed)) => return self.again(&failed, retry).await,
            Err(Unsettled::Store(error)) => {
                return Err(self.not_wanted(Unsettled::Store(error), &kept).await);
            }
            Err(cut) => return Err(cut),
        }
        let (artifact, kind) = (&job.artifact, job.artifact.kind.as_str());
        let left = artifact.deadline.duration_since(self.settings.clock.now());
        telemetry::ARTIFACTS.add(1, [kind.into(), "stored".into()]);
        telemetry::ARTIFACT_LEFT_SECONDS.record(left.as_secs_f64(), [kind.into()]);
        let key = Escaped(&artifact.idempotency_key);
        tracing::debug!(
            target: target::ARCHIVE, artifact = %artifact.id, kind, %key, bytes = kept.bytes,
            ?left,
            "file stored"
        );
        Ok(())
    }

    /// Reports to the application that a file is lost.
    pub(super) async fn lost(&self, job: &Job, lost: Lost, retry: &Retry<'_>) -> Result<(), Unsettled> {
        let Lost { why, error } = lost.clone();
        let settling = Settling::Lost { lease: retry.lease, why, error: error.clone() };
        if let Err(failed) = self.report(&settling, &job.artifact, News::Lost(lost), retry.cut).await? {
            return self.again(&failed, retry).await;
        }
        let (artifact, kind) = (&job.artifact, job.artifact.kind.as_str());
        telemetry::ARTIFACTS.add(1, [kind.into(), why.as_str().into()]);
        let (key, error) = (Escaped(&artifact.idempotency_key), Escaped(error.unwrap_or_default()));
        tracing::error!(
            target: target::ARCHIVE, artifact = %artifact.id, event = %artifact.event, kind, %key,
            why = why.as_str(), failures = artifact.failures, %error,
            "file lost"
        );
        Ok(())
    }

    /// Reports to the application that files are at risk; returns whether each report succeeded.
    pub(in crate::archive) async fn at_risk(
        &self,
        risks: Vec<ArtifactClaim>,
        cut: CancellationToken,
    ) -> bool {
        let mut all = true;
        for claim in risks {
            let left = claim.deadline.duration_since(self.settings.clock.now());
            let Ok(job) = Job::of(claim) else { continue };
            let artifact = &job.artifact;
            let settling = Settling::AtRisk(artifact.id);
            let news = News::AtRisk(AtRisk::new(left));
            match self.report(&settling, artifact, news, &cut).await {
                Ok(Ok(_)) => {
                    let kind = artifact.kind.as_str();
                    telemetry::ARTIFACTS.add(1, [kind.into(), "at_risk".into()]);
                    let key = Escaped(&artifact.idempotency_key);
                    tracing::warn!(
                        target: target::ARCHIVE, artifact = %artifact.id, event = %artifact.event,
                        kind, %key, ?left, failures = artifact.failures,
                        "file at risk: its link dies soon"
                    );
                }
                Ok(Err(failed)) => {
                    all = false;
                    self.log_handler(artifact.id, &failed);
                }
                // Another archiver has reported it, or it is settled.
                Err(Unsettled::Store(error)) if error.kind() == StoreErrorKind::StaleLease => {}
                Err(Unsettled::Store(error)) => {
                    all = false;
                    tracing::error!(
                        target: target::ARCHIVE, artifact = %artifact.id, error = %Escaped(&error),
                        "the risk is not recorded; it will be reported again"
                    );
                }
                Err(Unsettled::Cut) => return false,
            }
        }
        all
    }

    /// Calls the handler in the transaction that records what became of an artifact.
    async fn report(
        &self,
        settling: &Settling,
        artifact: &Arc<Artifact>,
        news: News,
        cut: &CancellationToken,
    ) -> Result<HandlerResult, Unsettled> {
        let settle = || {
            let work = self.call(artifact.clone(), news.clone());
            self.store.settle_artifact(settling, self.settings.clock.now(), work)
        };
        match self.recorded(cut, settle).await {
            Err(Unsettled::Store(error))
                if matches!(error.kind(), StoreErrorKind::Refused | StoreErrorKind::TransactionEnded) =>
            {
                Ok(Err(HandlerError::retry(error)))
            }
            result => result,
        }
    }

    fn call(&self, artifact: Arc<Artifact>, news: News) -> TxWork<S::Tx> {
        let (handler, limit) = (self.handler.clone(), self.settings.handler_timeout);
        // A store may run it on its own thread, where the subscriber may be another one.
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        Box::new(move |tx| {
            let call = async move {
                let mut cx = ArtifactContext::new(&artifact, tx);
                let call = async {
                    match &news {
                        News::Stored(kept) => handler.stored(&mut cx, kept).await,
                        News::AtRisk(risk) => handler.at_risk(&mut cx, risk).await,
                        News::Lost(lost) => handler.lost(&mut cx, lost).await,
                    }
                };
                match timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
                    Ok(Ok(result)) => result,
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
}
