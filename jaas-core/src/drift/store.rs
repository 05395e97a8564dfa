//! Where what was found is kept.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::found::{Drift, DriftKind};
use crate::id::IdempotencyKey;
use crate::store::{Page, PageRequest, RowId, StoreError};
use crate::timestamp::Timestamp;

/// One thing, and how often it was seen since the last time that this was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriftSighting {
    /// The thing.
    pub drift: Drift,
    /// How many of the events that were looked at had it.
    pub count: u64,
    /// When the first of them was received.
    pub first_seen: Timestamp,
    /// When the last of them was received.
    pub last_seen: Timestamp,
    /// The endpoint that received an example.
    pub endpoint: Arc<str>,
    /// The key of the example.
    pub idempotency_key: IdempotencyKey,
    /// The body of the example without its values, as [`fixture`](super::fixture) makes it.
    pub fixture: Option<String>,
}

impl DriftSighting {
    /// Creates a sighting in one event, without a fixture.
    pub fn new(
        drift: Drift,
        seen: Timestamp,
        endpoint: impl Into<Arc<str>>,
        idempotency_key: IdempotencyKey,
    ) -> Self {
        let endpoint = endpoint.into();
        Self { drift, count: 1, first_seen: seen, last_seen: seen, endpoint, idempotency_key, fixture: None }
    }
}

/// One thing, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriftRecord {
    /// Its row.
    pub id: RowId,
    /// What is not known.
    pub kind: DriftKind,
    /// The `eventType`, as it came: escape it where you print it.
    pub event_type: String,
    /// Where: see [`Drift::field`].
    pub field: String,
    /// The JSON type or the word: see [`Drift::detail`].
    pub detail: String,
    /// How many of the events that were looked at had it. A sample: not how many came.
    pub count: u64,
    /// When the first of them was received.
    pub first_seen: Timestamp,
    /// When the last of them was received.
    pub last_seen: Timestamp,
    /// The row of an event that has it. The event may be purged since.
    pub example: Option<RowId>,
    /// That event's body without its values, as [`fixture`](super::fixture) makes it.
    pub fixture: Option<String>,
}

impl DriftRecord {
    /// Creates the record of a first sighting in this row, with the example's row.
    pub fn new(id: RowId, first: DriftSighting, example: Option<RowId>) -> Self {
        let Drift { kind, event_type, field, detail } = first.drift;
        let DriftSighting { count, first_seen, last_seen, fixture, .. } = first;
        Self { id, kind, event_type, field, detail, count, first_seen, last_seen, example, fixture }
    }
}

/// Keeps what was found. `MemoryStore` and the stores of `jaas-diesel` implement it.
///
/// The rules are those of [`EventStore`](crate::store::EventStore): a caller may drop any future at any time, no method
/// waits without bound, and errors are of the same kinds. `jaas_testkit::drift_store_conformance!` turns every bullet
/// below into a test.
#[async_trait]
pub trait DriftStore: Send + Sync + 'static {
    /// Adds these sightings to what is kept, and returns the things that were not kept before. A thing has one row,
    /// however many processes find it. The first sighting decides the example; later ones change the count and
    /// [`last_seen`](DriftRecord::last_seen).
    ///
    /// After an error some of them may have been added. Adding them again counts them twice and does nothing else.
    ///
    /// # Behavior
    /// - `a_thing_has_one_row_and_is_new_once`, over any number of concurrent calls.
    /// - `later_sightings_change_the_count_and_the_time`, and nothing else.
    /// - `the_example_is_the_row_of_its_event`; `None` when the store does not have the event.
    async fn record_drift(&self, sightings: &[DriftSighting]) -> Result<Vec<Drift>, StoreError>;

    /// Lists what is kept, in the order in which it was found.
    ///
    /// # Behavior
    /// - `drift_is_listed_in_pages`: following [`Page::next`] shows each row once, from either end.
    async fn drift_records(&self, page: PageRequest) -> Result<Page<DriftRecord>, StoreError>;

    /// Deletes at most `limit` rows that were last seen before this time, oldest row first, for example those that a
    /// newer version knows. Returns how many.
    ///
    /// # Behavior
    /// - `drift_is_forgotten_by_when_it_was_last_seen`.
    async fn forget_drift(&self, last_seen_before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Forwards every method, so a store can be shared.
#[async_trait]
impl<S: DriftStore + ?Sized> DriftStore for Arc<S> {
    async fn record_drift(&self, sightings: &[DriftSighting]) -> Result<Vec<Drift>, StoreError> {
        (**self).record_drift(sightings).await
    }

    async fn drift_records(&self, page: PageRequest) -> Result<Page<DriftRecord>, StoreError> {
        (**self).drift_records(page).await
    }

    async fn forget_drift(&self, last_seen_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        (**self).forget_drift(last_seen_before, limit).await
    }
}

const _: fn(&dyn DriftStore) = |_| {};
