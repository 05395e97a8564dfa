//! The contract of a store that remembers artifacts.

mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::record::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactLease, ArtifactQuery, ArtifactRecord, ArtifactState,
    ArtifactStats, Kept, LostWhy, NewArtifact, Postponed, Settling,
};
use crate::delivery::Delivery;
use crate::handler::HandlerResult;
use crate::meetings::{TimePage, TimePageRequest};
use crate::store::{EventStore, Page, RowId, StoreError, TxWork};
use crate::timestamp::Timestamp;

/// An [`EventStore`] that also remembers which files behind links are to be fetched, and what became of them. It keeps
/// no link: that is in the event's body, which a claim brings along.
///
/// What [`EventStore`] says of cancellation, timeouts, errors and time holds here too.
/// `jaas_testkit::artifact_store_conformance!` turns every bullet into a test of an implementation.
///
/// # The life of an artifact
/// *waiting* until it is claimed, *running* while a lease holds, then for good *stored*, *lost*, or *ended* when its
/// session was erased. Its fence grows with every claim.
///
/// # Behavior
/// Of the rules of events where artifacts wait:
/// - `purge_leaves_an_event_whose_artifact_waits`, and deletes the artifacts of an event with it.
/// - `erase_session_ends_the_artifacts_that_wait`, also those that are being fetched.
#[async_trait]
pub trait ArtifactStore: EventStore {
    /// Writes artifacts of an event, in the transaction in which the event is handled. Those that are there already
    /// stay as they are. Returns how many are new.
    ///
    /// # Behavior
    /// - `add_writes_one_row_per_event_and_slot`, however often the event is handled.
    /// - `add_is_part_of_the_transaction`: of a transaction that is rolled back nothing is there.
    ///
    /// # Errors
    /// [`NotFound`](crate::store::StoreErrorKind::NotFound) when the event is not in the store.
    async fn add_artifacts(
        &self,
        tx: &mut Self::Tx,
        event: &Delivery,
        artifacts: &[NewArtifact],
    ) -> Result<usize, StoreError>;

    /// Takes artifacts that are due: up to `request.limit` whose deadline is to come, the earliest deadline first, and
    /// up to `request.expired` whose deadline has passed.
    ///
    /// # Behavior
    /// - `claim_takes_the_earliest_deadline_first`.
    /// - `claim_gives_an_artifact_to_one_caller_only`, until its lease ends; then to another one, with a higher fence.
    /// - `claim_has_what_is_needed_to_fetch`: the event's body as it came, where and when it was received.
    /// - `claim_waits_until_an_artifact_is_due`.
    /// - `claim_takes_expired_ones_apart`.
    /// - `claims_are_safe_for_many_at_once`: of any number of concurrent claims no two hold the same artifact.
    async fn claim_artifacts(&self, request: &ArtifactClaimRequest)
    -> Result<Vec<ArtifactClaim>, StoreError>;

    /// Extends leases to `lease` from now; returns those that are no longer held.
    ///
    /// # Behavior
    /// - `renew_keeps_a_claim_and_names_those_that_were_lost`.
    async fn renew_artifacts(
        &self,
        leases: &[ArtifactLease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<ArtifactLease>, StoreError>;

    /// Records that the file is in the sink. It is not fetched again, and not lost any more, even if it takes long
    /// until it is settled.
    ///
    /// # Behavior
    /// - `keep_is_remembered_by_the_next_claim`.
    /// - `keep_refuses_a_stale_lease`.
    ///
    /// # Errors
    /// [`StaleLease`](crate::store::StoreErrorKind::StaleLease) when the lease is not held any more;
    /// [`Erased`](crate::store::StoreErrorKind::Erased) when the session was erased meanwhile.
    async fn keep_artifact(&self, lease: ArtifactLease, kept: &Kept) -> Result<(), StoreError>;

    /// Records what became of an artifact, and runs `work` in the transaction that does.
    ///
    /// # Behavior
    /// - `settle_commits_effects_and_state_together`.
    /// - `settle_rolls_back_when_the_work_fails`: the work's error is the inner result; the artifact stays claimed.
    /// - `settle_refuses_a_stale_lease`: the work is not run.
    /// - `settle_reports_at_risk_once`: [`Settling::AtRisk`] a second time, or of an artifact that is settled, is a
    ///   [`StaleLease`](crate::store::StoreErrorKind::StaleLease).
    ///
    /// # Errors
    /// As of [`keep_artifact`](ArtifactStore::keep_artifact).
    async fn settle_artifact(
        &self,
        settling: &Settling,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError>;

    /// Records that fetching failed: the artifact waits.
    ///
    /// # Behavior
    /// - `postpone_waits_until_the_given_time_and_counts`.
    /// - `postpone_may_put_an_artifact_at_risk_at_once`.
    async fn postpone_artifact(&self, lease: ArtifactLease, postponed: &Postponed) -> Result<(), StoreError>;

    /// Gives claims back, because the archiver stops. Leases no longer held are passed over.
    ///
    /// # Behavior
    /// - `release_makes_an_artifact_claimable_at_once_and_counts_nothing`.
    async fn release_artifacts(&self, leases: &[ArtifactLease], now: Timestamp) -> Result<(), StoreError>;

    /// Artifacts that are at risk now and whose risk is not reported yet, the earliest deadline first.
    ///
    /// # Behavior
    /// - `at_risk_lists_what_was_not_reported`: also those that are being fetched; none that is kept or settled.
    async fn artifacts_at_risk(&self, now: Timestamp, limit: u32) -> Result<Vec<ArtifactClaim>, StoreError>;

    /// When there is something to claim or to report next; `None` when nothing waits. A time that has passed means now.
    ///
    /// # Behavior
    /// - `next_artifact_names_the_earliest_thing_to_do`: an artifact that becomes due, a lease that ends, a risk to be
    ///   reported.
    async fn next_artifact(&self, now: Timestamp) -> Result<Option<Duration>, StoreError>;

    /// Lists artifacts.
    ///
    /// # Behavior
    /// - `artifacts_are_listed_in_pages_and_filtered`.
    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError>;

    /// Lists the artifacts that wait or run, the earliest deadline first. The key of its cursors is the artifact's row.
    /// An artifact whose state changes while a page is read may be missing in it.
    ///
    /// # Behavior
    /// - `open_artifacts_are_listed_by_deadline_in_pages`: no artifact is in two of them, also of those with the same
    ///   deadline.
    async fn open_artifacts(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError>;

    /// Counts those that wait or run.
    ///
    /// # Behavior
    /// - `stats_count_what_waits`.
    async fn artifact_stats(&self) -> Result<ArtifactStats, StoreError>;
}

/// Forwards every method, so a store can be shared.
#[async_trait]
impl<S: ArtifactStore + ?Sized> ArtifactStore for Arc<S> {
    async fn add_artifacts(
        &self,
        tx: &mut Self::Tx,
        event: &Delivery,
        artifacts: &[NewArtifact],
    ) -> Result<usize, StoreError> {
        (**self).add_artifacts(tx, event, artifacts).await
    }

    async fn claim_artifacts(
        &self,
        request: &ArtifactClaimRequest,
    ) -> Result<Vec<ArtifactClaim>, StoreError> {
        (**self).claim_artifacts(request).await
    }

    async fn renew_artifacts(
        &self,
        leases: &[ArtifactLease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<ArtifactLease>, StoreError> {
        (**self).renew_artifacts(leases, now, lease).await
    }

    async fn keep_artifact(&self, lease: ArtifactLease, kept: &Kept) -> Result<(), StoreError> {
        (**self).keep_artifact(lease, kept).await
    }

    async fn settle_artifact(
        &self,
        settling: &Settling,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError> {
        (**self).settle_artifact(settling, now, work).await
    }

    async fn postpone_artifact(&self, lease: ArtifactLease, postponed: &Postponed) -> Result<(), StoreError> {
        (**self).postpone_artifact(lease, postponed).await
    }

    async fn release_artifacts(&self, leases: &[ArtifactLease], now: Timestamp) -> Result<(), StoreError> {
        (**self).release_artifacts(leases, now).await
    }

    async fn artifacts_at_risk(&self, now: Timestamp, limit: u32) -> Result<Vec<ArtifactClaim>, StoreError> {
        (**self).artifacts_at_risk(now, limit).await
    }

    async fn next_artifact(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        (**self).next_artifact(now).await
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError> {
        (**self).artifacts(query).await
    }

    async fn open_artifacts(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError> {
        (**self).open_artifacts(page).await
    }

    async fn artifact_stats(&self) -> Result<ArtifactStats, StoreError> {
        (**self).artifact_stats().await
    }
}

const _: fn(&dyn ArtifactStore<Tx = ()>) = |_| {};

/// Errors that the implementations share.
impl StoreError {
    /// This claim of an artifact is no longer held.
    pub fn stale_artifact(operation: &str, artifact: RowId) -> Self {
        Self::new(
            crate::store::StoreErrorKind::StaleLease,
            format!("cannot {operation}: the claim of artifact {artifact} is no longer held"),
        )
    }

    /// The session of this artifact was erased.
    pub fn artifact_erased(artifact: RowId) -> Self {
        Self::new(
            crate::store::StoreErrorKind::Erased,
            format!("artifact {artifact} is not kept: its session was erased on request"),
        )
    }
}
