//! Reading from sorted tables.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::row::TableRow;
use crate::named::named_enum;
use crate::store::order::Head;
use crate::store::row::EventRow;
use crate::store::{NextDue, QueueState, RowId, RunningEvent, StoreError, StoreStats};
use crate::timestamp::Timestamp;

/// The key by which a received body is found: the endpoint, the idempotency key, and the SHA-256 of the body. An event has
/// an empty hash, because its key is unique; a body in quarantine has an empty key. Each is compared byte for byte.
pub type BodyKey<'a> = (&'a str, &'a str, &'a [u8]);

/// What a transaction of a store over sorted tables reads, also one that only reads. A store implements the required
/// methods.
pub trait ReadTables {
    /// An error of the database, or of the contract.
    type Error: From<StoreError>;

    /// Finds a row.
    fn find<R: TableRow>(&self, row: RowId) -> Result<Option<R>, Self::Error>;

    /// Returns every row of a kind, in the order of their numbers.
    fn all<R: TableRow>(&self) -> Result<Vec<R>, Self::Error>;

    /// Returns how much the tables hold: see [`stats`](crate::store::EventAdmin::stats). It is called at least once a
    /// minute, so it should not read each event.
    fn stats(&self) -> Result<StoreStats, Self::Error>;

    /// Finds the row of a body.
    fn row_of(&self, body: BodyKey<'_>) -> Result<Option<RowId>, Self::Error>;

    /// Returns the first waiting events of a queue by their [place](EventRow::place), of the passable events or of the
    /// others.
    fn waiting(&self, queue: &str, passable: bool, limit: usize) -> Result<Vec<RowId>, Self::Error>;

    /// Returns when to look at a queue.
    fn scheduled(&self, queue: &str) -> Result<Option<Scheduled>, Self::Error>;

    /// Returns the first queues of this phase that are to be looked at in this time, the earliest first.
    fn due(
        &self,
        phase: Phase,
        at: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, String)>, Self::Error>;

    // The provided methods.

    /// See [`next_due`](crate::store::EventStore::next_due).
    fn next_due(&self, now: Timestamp) -> Result<NextDue, Self::Error> {
        let (mut known, later) = (NextDue::default(), now.saturating_add(Duration::from_millis(1)));
        for phase in Phase::ALL {
            known.held_back |= phase < Phase::Running && !self.due(phase, FIRST..=now, 1)?.is_empty();
            let next = self.due(phase, later..=LAST, 1)?.first().map(|(at, _)| at.duration_since(now));
            known.after = known.after.into_iter().chain(next).min();
        }
        Ok(known)
    }

    /// See [`queue_of`](crate::store::EventAdmin::queue_of).
    fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, Self::Error> {
        let Some(row) = self.find::<EventRow>(event)?.filter(|row| !row.event.state.is_settled()) else {
            return Ok(None);
        };
        let queue = row.queue();
        let Some(Scheduled { phase, at, running }) = self.scheduled(&queue)? else { return Ok(None) };
        let mut state = QueueState::new(at);
        (state.first, state.passed) = (head(self, &queue, false)?, head(self, &queue, true)?);
        (state.suspect, state.passable) = (phase == Phase::Suspect, row.passable);
        let running = running.map(|event| self.find::<EventRow>(event)).transpose()?.flatten();
        state.running = running.map(|row| RunningEvent::new(row.event.id, row.event.worker, at));
        Ok(Some(state))
    }
}

named_enum! {
    /// The phase of a queue: what it waits for.
    #[non_exhaustive]
    pub enum Phase {
        /// Waits for a worker, or for its time.
        Ready = "ready",
        /// As above, and its next event has crashed before: only one such event runs at a time.
        Suspect = "suspect",
        /// One of its events runs.
        Running = "running",
        /// One of its events runs that has crashed before.
        SuspectRuns = "suspect runs",
    }
}

/// When to look at a queue next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Scheduled {
    /// Its phase.
    pub phase: Phase,
    /// When to look at it; while an event runs, the end of its lease.
    pub at: Timestamp,
    /// The event that runs.
    pub running: Option<RowId>,
}

impl Scheduled {
    /// Creates what a store has read.
    pub fn new(phase: Phase, at: Timestamp, running: Option<RowId>) -> Self {
        Self { phase, at, running }
    }
}

/// Returns the first waiting event of a queue, of the passable events or of the others.
pub(super) fn head<T: ReadTables + ?Sized>(
    tables: &T,
    queue: &str,
    passable: bool,
) -> Result<Option<Head>, T::Error> {
    let first = tables.waiting(queue, passable, 1)?.first().map(|event| known(tables, *event));
    Ok(first.transpose()?.map(|row| row.head()))
}

/// Returns an event that must be there.
pub(super) fn known<T: ReadTables + ?Sized>(tables: &T, event: RowId) -> Result<EventRow, T::Error> {
    Ok(tables.find(event)?.ok_or_else(|| StoreError::not_found(event))?)
}

pub(super) const FIRST: Timestamp = Timestamp::from_millis(i64::MIN);
pub(super) const LAST: Timestamp = Timestamp::from_millis(i64::MAX);
