//! The record of each answer, as evidence of the decision.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::Fqn;
use crate::named::named_enum;
use crate::store::{Keep, Page, PageRequest, RowId, StoreError};
use crate::timestamp::Timestamp;

named_enum! {
    /// The source of an answer.
    #[non_exhaustive]
    pub enum SettingsSource {
        /// The provider.
        Provider = "provider",
        /// An earlier result of the provider for this room.
        LastKnownGood = "last_known_good",
        /// The settings of [`FailurePolicy::fallback`](super::FailurePolicy::fallback).
        Fallback = "fallback",
        /// [`FailurePolicy::fail_closed`](super::FailurePolicy::fail_closed).
        FailClosed = "fail_closed",
        /// [`FailurePolicy::refuse`](super::FailurePolicy::refuse).
        Refused = "refused",
    }
}

named_enum! {
    /// Why the provider's result was not used.
    #[non_exhaustive]
    pub enum SettingsFailure {
        /// It did not respond before the deadline.
        TimedOut = "timed_out",
        /// It returned an error.
        Failed = "failed",
        /// It panicked.
        Panicked = "panicked",
        /// It has no settings for the room.
        NoSettingsForRoom = "no_settings",
        /// It was not asked, because too many questions were in flight.
        Overloaded = "overloaded",
        /// It was not asked, because the question does not name a meeting.
        Unreadable = "unreadable",
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsRecord {
    /// Its row; 0 before it was stored.
    pub id: RowId,
    /// The endpoint that received the question.
    pub endpoint: Arc<str>,
    /// The meeting, as spelled in the question; empty when the question does not name one.
    pub fqn: Fqn,
    /// When the question arrived.
    pub received_at: Timestamp,
    /// How long it took from then to the answer.
    pub took: Duration,
    /// The source of the answer.
    pub source: SettingsSource,
    /// Why it did not come from the provider.
    pub failure: Option<SettingsFailure>,
    /// The provider's error. Links are cut to their host.
    pub error: Option<String>,
    /// What decided, if the provider noted it: a rule, a row of a table.
    pub decided_by: Option<String>,
    /// The answer, as JSON; passcode and phone number are replaced by `…`.
    pub answer: String,
}

impl SettingsRecord {
    /// Creates a record of an answer from this source; the caller sets the rest.
    pub fn new(
        endpoint: impl Into<Arc<str>>,
        fqn: Fqn,
        received_at: Timestamp,
        source: SettingsSource,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            id: RowId::new(0),
            endpoint: endpoint.into(),
            fqn,
            received_at,
            took: Duration::ZERO,
            source,
            failure: None,
            error: None,
            decided_by: None,
            answer: answer.into(),
        }
    }
}

/// Which records to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsQuery {
    /// Records of this meeting, whatever the spelling. Without a tenant (no `/` in it), of this room of any tenant.
    pub fqn: Option<Fqn>,
    /// Records of this endpoint.
    pub endpoint: Option<String>,
    /// Questions that arrived at this time or later.
    pub from: Option<Timestamp>,
    /// Questions that arrived before this time.
    pub until: Option<Timestamp>,
    /// Answers from this source.
    pub source: Option<SettingsSource>,
    /// Answers with this failure.
    pub failure: Option<SettingsFailure>,
    /// Which page.
    pub page: PageRequest,
}

/// Keeps records of answers. `MemoryStore` and the stores of `jaas-diesel` implement it.
///
/// It is separate from [`EventStore`](crate::store::EventStore), because a process may answer questions and store no
/// events. The rules are the same: a caller may drop any future at any time, no method waits without bound, and errors
/// are of the same kinds. `jaas_testkit::settings_log_conformance!` turns every bullet below into a test.
#[async_trait]
pub trait SettingsLog: Send + Sync + 'static {
    /// Stores these records, all or none of them.
    ///
    /// # Behavior
    /// - `every_field_is_kept_in_the_order_of_arrival`, except [`id`](SettingsRecord::id), which the store assigns.
    async fn record_settings(&self, records: &[SettingsRecord]) -> Result<(), StoreError>;

    /// Lists records, oldest row first.
    ///
    /// # Behavior
    /// - `records_are_listed_in_pages`: following [`Page::next`] shows each record once.
    /// - `records_are_filtered_by_every_field_of_the_query`; meetings are compared as
    ///   [`Fqn::same_room`](crate::Fqn::same_room) does.
    async fn settings_records(&self, query: &SettingsQuery) -> Result<Page<SettingsRecord>, StoreError>;

    /// Deletes what `keep` does not keep, at most `limit` rows, oldest first. Age counts from when the question
    /// arrived. Returns how many were deleted.
    ///
    /// # Behavior
    /// - `records_are_purged_by_age_and_beyond_a_count`.
    async fn purge_settings_records(&self, keep: Keep, now: Timestamp, limit: u32)
    -> Result<u64, StoreError>;
}

/// Forwards every method, so a store can be shared.
#[async_trait]
impl<L: SettingsLog + ?Sized> SettingsLog for Arc<L> {
    async fn record_settings(&self, records: &[SettingsRecord]) -> Result<(), StoreError> {
        (**self).record_settings(records).await
    }

    async fn settings_records(&self, query: &SettingsQuery) -> Result<Page<SettingsRecord>, StoreError> {
        (**self).settings_records(query).await
    }

    async fn purge_settings_records(
        &self,
        keep: Keep,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        (**self).purge_settings_records(keep, now, limit).await
    }
}

const _: fn(&dyn SettingsLog) = |_| {};
