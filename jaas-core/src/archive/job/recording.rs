//! Recording the outcome of a try, also through an outage of the store.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Jobs, Retry, Unsettled};
use crate::archive::name::ObjectName;
use crate::archive::store::{ArtifactLease, ArtifactStore, Kept, LostWhy, Postponed};
use crate::attempt::error_text;
use crate::handler::HandlerError;
use crate::store::{RowId, StoreError, StoreErrorKind};
use crate::telemetry::{Escaped, target};
use crate::timestamp::Timestamp;

/// How long to wait before what has happened is recorded again.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

/// The shortest wait between two tries, however near the deadline is.
const MIN_WAIT: Duration = Duration::from_secs(1);

impl<S: ArtifactStore> Jobs<S> {
    /// The handler has failed: it is called again later.
    pub(super) async fn again(&self, failed: &HandlerError, retry: &Retry<'_>) -> Result<(), Unsettled> {
        self.log_handler(retry.lease.artifact, failed);
        let now = self.settings.clock.now();
        let wait = self.settings.backoff.delay(retry.failures.saturating_add(1), retry.seed());
        let postponed = Postponed {
            error: error_text(failed),
            until: now.saturating_add(wait),
            why: retry.why,
            at_risk: None,
        };
        self.recorded(retry.cut, || self.store.postpone_artifact(retry.lease, &postponed)).await
    }

    /// Fetching has failed: it is tried again later, more often the nearer the deadline is.
    pub(super) async fn postpone(
        &self,
        retry: &Retry<'_>,
        error: String,
        why: LostWhy,
        at_risk: Option<Timestamp>,
    ) -> Result<(), Unsettled> {
        let now = self.settings.clock.now();
        let backoff = &self.settings.backoff;
        let left = retry.deadline.duration_since(now);
        let wait = match at_risk {
            // The operator has to do something first.
            Some(_) => backoff.max_delay,
            None => backoff.delay(retry.failures.saturating_add(1), retry.seed()),
        };
        // Half of what is left, so that there are tries until the end.
        let wait = wait.min((left / 2).max(MIN_WAIT)).min(left);
        let (failures, text) = (retry.failures.saturating_add(1), Escaped(&error));
        if at_risk.is_some() {
            tracing::warn!(
                target: target::ARCHIVE, artifact = %retry.lease.artifact, failures, ?wait, ?left,
                error = %text,
                "file not fetched, and this configuration does not allow it; trying again later"
            );
        } else {
            tracing::info!(
                target: target::ARCHIVE, artifact = %retry.lease.artifact, failures, ?wait, ?left,
                error = %text,
                "file not fetched; trying again later"
            );
        }
        let postponed = Postponed { until: now.saturating_add(wait), why, at_risk, error };
        self.recorded(retry.cut, || self.store.postpone_artifact(retry.lease, &postponed)).await
    }

    /// The file is in the sink, and the store does not want it: if its session was erased, the object is deleted.
    /// If the lease was lost, the archiver that has it now writes the same object.
    pub(super) async fn not_wanted(&self, unsettled: Unsettled, kept: &Kept) -> Unsettled {
        if let Unsettled::Store(error) = &unsettled
            && error.kind() == StoreErrorKind::Erased
            && let Ok(name) = ObjectName::new(kept.object.as_str())
            && let Err(error) = self.sink.delete(&name).await
        {
            tracing::error!(
                target: target::ARCHIVE, object = %name, %error,
                "a file of an erased session could not be deleted; delete it by hand"
            );
        }
        unsettled
    }

    /// Tries until the store is available: an outage must not make it forget what has happened.
    pub(super) async fn recorded<T, F>(
        &self,
        cut: &CancellationToken,
        record: impl Fn() -> F,
    ) -> Result<T, Unsettled>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            tokio::select! {
                biased;
                () = cut.cancelled() => return Err(Unsettled::Cut),
                result = record() => match result {
                    Err(error) if error.is_transient() => {}
                    result => return Ok(result?),
                },
            }
            tokio::select! {
                biased;
                () = cut.cancelled() => return Err(Unsettled::Cut),
                () = sleep(RECORD_AGAIN) => {}
            }
        }
    }

    pub(super) fn log_handler(&self, artifact: RowId, failed: &HandlerError) {
        let error = error_text(failed);
        tracing::warn!(
            target: target::ARCHIVE, %artifact, error = %Escaped(&error),
            "the artifact handler failed; it will be called again"
        );
    }
}

pub(super) fn log_unrecorded(lease: ArtifactLease, error: &StoreError) {
    let artifact = lease.artifact;
    match error.kind() {
        StoreErrorKind::Erased => {
            tracing::info!(target: target::ARCHIVE, %artifact, "not kept: the session was erased");
        }
        StoreErrorKind::StaleLease => {
            tracing::warn!(
                target: target::ARCHIVE, %artifact, error = %Escaped(error),
                "not recorded: another archiver has taken over"
            );
        }
        _ => {
            tracing::error!(
                target: target::ARCHIVE, %artifact, error = %Escaped(error),
                "not recorded; the file will be fetched again"
            );
        }
    }
}
