//! The contract of a store that remembers what should follow, and what did not.

mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub(super) use self::record::ENDPOINT;
pub use self::record::{
    Gap, GapChange, GapCount, GapQuery, GapRecord, GapState, NewSightings, SessionClaim, SessionClaimRequest,
    SessionLease, Watched,
};
use super::sighting::Sighting;
use crate::handler::HandlerResult;
use crate::id::SessionId;
use crate::store::{EventStore, Page, StoreError, StoreErrorKind, TxWork};
use crate::timestamp::Timestamp;

/// An [`EventStore`] that also remembers what was seen in each session, when a session is to be audited, and which
/// gaps were found.
///
/// What [`EventStore`] says of cancellation, timeouts, errors and time holds here too.
/// `jaas_testkit::gap_store_conformance!` turns every bullet into a test of an implementation.
///
/// # The life of a session
/// It is *due* at a time, or at none. A claim moves that time to the end of the lease and raises the fence. The end of
/// an audit sets the next time; what was recorded in between makes it due immediately.
///
/// # Behavior
/// Of the rules of events:
/// - `erase_session_deletes_its_sightings_and_gaps`, also while it is claimed: the claim is then stale.
/// - `purge_deletes_sessions_that_are_settled`, with their sightings and gaps: those that are not due and of which
///   nothing was recorded for as long as handled events are kept.
#[async_trait]
pub trait GapStore: EventStore {
    /// Writes down what an event shows, in the transaction in which the event is handled. Returns how many sightings
    /// are new.
    ///
    /// # Behavior
    /// - `record_writes_each_sighting_once`, however often the event is handled; what is not new changes no session.
    /// - `record_is_part_of_the_transaction`: of a transaction that is rolled back nothing is there.
    /// - `record_makes_a_session_due_at_the_earlier_time`: the one it has, or the one given.
    /// - `record_makes_a_session_with_an_open_gap_due_immediately`.
    async fn record_sightings(&self, tx: &mut Self::Tx, new: &NewSightings) -> Result<usize, StoreError>;

    /// Notes that an event of which nothing follows was handled: the session is not silent. Returns whether that was
    /// noted.
    ///
    /// # Behavior
    /// - `touch_moves_the_silence_of_a_known_session_only`.
    async fn touch_session(
        &self,
        tx: &mut Self::Tx,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Writes down what an endpoint shows, under the id of its own session. Each sighting is kept with the latest time
    /// that was recorded, and those that happened before `forget_before` are deleted.
    ///
    /// # Behavior
    /// - `endpoint_sightings_keep_the_latest_time`: the order in which processes record them makes no difference.
    /// - `endpoint_sightings_that_are_old_are_forgotten`, of this endpoint only.
    /// - `endpoint_is_due_at_the_earlier_time`, like a session, and immediately if it has an open gap.
    async fn record_endpoint(&self, new: &NewSightings, forget_before: Timestamp) -> Result<(), StoreError>;

    /// Takes sessions that are due, the one that has been due longest first.
    ///
    /// # Behavior
    /// - `claim_takes_the_session_that_is_due_longest_first`.
    /// - `claim_gives_a_session_to_one_auditor_only`, until its lease ends; then to another one, with a higher fence.
    /// - `session_claims_are_safe_for_many_at_once`: of any number of concurrent claims no two hold the same session.
    async fn claim_sessions(&self, request: &SessionClaimRequest) -> Result<Vec<SessionClaim>, StoreError>;

    /// What was seen in a session, and its gaps. Reads page by page.
    ///
    /// # Behavior
    /// - `watched_returns_everything_of_the_session`, also when that is more than a page.
    async fn watched(&self, session: &SessionId) -> Result<Watched, StoreError>;

    /// Records that a gap was found or has closed, and runs `work` in the transaction that does.
    ///
    /// # Behavior
    /// - `change_commits_effects_and_gap_together`.
    /// - `change_rolls_back_when_the_work_fails`: the work's error is the inner result, and the gap is as before.
    /// - `change_refuses_a_stale_lease`: the work is not run.
    /// - `change_reports_each_gap_once`: finding one that is known, or closing one that is not open, is a
    ///   [`StaleLease`](StoreErrorKind::StaleLease).
    ///
    /// # Errors
    /// [`StaleLease`](StoreErrorKind::StaleLease) when the lease is not held any more.
    async fn change_gap(
        &self,
        lease: &SessionLease,
        change: &GapChange,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError>;

    /// Ends audits: each session is due again at the given time, or not any more. Leases no longer held are passed
    /// over.
    ///
    /// # Behavior
    /// - `finish_sets_when_a_session_is_due_next`.
    /// - `finish_makes_a_session_due_immediately_if_something_was_recorded_since_the_claim`.
    async fn finish_sessions(
        &self,
        audits: &[(SessionClaim, Option<Timestamp>)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// When a session is due next; `None` when none is. A time that has passed means now.
    ///
    /// # Behavior
    /// - `next_session_names_the_earliest_time`.
    async fn next_session(&self, now: Timestamp) -> Result<Option<Duration>, StoreError>;

    /// Lists gaps.
    ///
    /// # Behavior
    /// - `gaps_are_listed_in_pages_and_filtered`: by state, rule, session and room, oldest or newest first.
    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError>;

    /// How many gaps are open, of each rule that has one.
    ///
    /// # Behavior
    /// - `counts_are_of_open_gaps_by_rule`.
    async fn gap_counts(&self) -> Result<Vec<GapCount>, StoreError>;
}

/// Forwards every method, so a store can be shared.
#[async_trait]
impl<S: GapStore + ?Sized> GapStore for Arc<S> {
    async fn record_sightings(&self, tx: &mut Self::Tx, new: &NewSightings) -> Result<usize, StoreError> {
        (**self).record_sightings(tx, new).await
    }

    async fn touch_session(
        &self,
        tx: &mut Self::Tx,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        (**self).touch_session(tx, session, now).await
    }

    async fn record_endpoint(&self, new: &NewSightings, forget_before: Timestamp) -> Result<(), StoreError> {
        (**self).record_endpoint(new, forget_before).await
    }

    async fn claim_sessions(&self, request: &SessionClaimRequest) -> Result<Vec<SessionClaim>, StoreError> {
        (**self).claim_sessions(request).await
    }

    async fn watched(&self, session: &SessionId) -> Result<Watched, StoreError> {
        (**self).watched(session).await
    }

    async fn change_gap(
        &self,
        lease: &SessionLease,
        change: &GapChange,
        now: Timestamp,
        work: TxWork<Self::Tx>,
    ) -> Result<HandlerResult, StoreError> {
        (**self).change_gap(lease, change, now, work).await
    }

    async fn finish_sessions(
        &self,
        audits: &[(SessionClaim, Option<Timestamp>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        (**self).finish_sessions(audits, now).await
    }

    async fn next_session(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        (**self).next_session(now).await
    }

    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError> {
        (**self).gaps(query).await
    }

    async fn gap_counts(&self) -> Result<Vec<GapCount>, StoreError> {
        (**self).gap_counts().await
    }
}

const _: fn(&dyn GapStore<Tx = ()>) = |_| {};

impl Watched {
    /// These.
    pub fn new(sightings: Vec<Sighting>, gaps: Vec<GapRecord>) -> Self {
        Self { sightings, gaps }
    }
}

/// Errors that the implementations share.
impl StoreError {
    /// This claim of a session is no longer held, or the gap has changed already.
    pub fn stale_audit(session: &SessionId) -> Self {
        let why = format!(
            "cannot record the gap: the claim of session {session:?} is no longer held, or the gap is recorded already"
        );
        Self::new(StoreErrorKind::StaleLease, why)
    }
}
