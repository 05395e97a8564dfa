//! Everything about one event, in one report.

mod report;

use std::sync::Arc;

use super::order::Turn;
use super::{
    Attempt, AttemptQuery, AuditEntry, Conflict, EventAdmin, EventQuery, EventState, PageRequest, QueueState,
    RowId, SessionOrder, StoreError, StoredEvent,
};
use crate::id::IdempotencyKey;
use crate::timestamp::Timestamp;

/// The life of one event: its deliveries, attempts and handlers, what operators did to it, and when it runs next or why
/// it waits.
///
/// [`Display`](std::fmt::Display) shows it as a text of several lines, and it can be serialized. Both leave the bodies
/// out, and the text escapes what others wrote. The event and its conflicts are fields, with their bodies, for callers
/// that have recorded a [`reveal`](EventAdmin::reveal).
///
/// ```
/// use jaas_core::IdempotencyKey;
/// use jaas_core::store::{EventLife, EventStore as _, MemoryStore};
/// use jaas_core::{Delivery, Timestamp};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let now = Timestamp::from_secs(1_795_420_800);
/// let body = br#"{"idempotencyKey": "k-1", "eventType": "ROOM_CREATED"}"#;
/// store.accept(Delivery::parse("main", now, body.to_vec().into()).map_err(|body| body.reason)?).await?;
///
/// for life in EventLife::of_key(&store, None, &IdempotencyKey::new("k-1"), now).await? {
///     println!("{life}");
///     assert!(life.to_string().contains("waits: the next worker that has room runs it"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventLife {
    /// The event.
    pub event: StoredEvent,
    /// When it runs next and why it waits, or how it ended.
    pub status: EventStatus,
    /// Deliveries that came with its key and another body, the oldest first. A repetition with the same body is not
    /// recorded.
    pub conflicts: Vec<Conflict>,
    /// Its attempts that did not succeed, the newest first.
    pub attempts: Vec<Attempt>,
    /// What operators did to it, the newest first.
    pub audit: Vec<AuditEntry>,
    /// Whether there are more conflicts, attempts or entries than [`MAX_ROWS`](Self::MAX_ROWS) of each.
    pub more: bool,
}

impl EventLife {
    /// The maximum number of conflicts, attempts and entries of the audit each.
    pub const MAX_ROWS: u32 = 100;

    /// The maximum number of endpoints that [`of_key`](Self::of_key) looks at.
    pub const MAX_ENDPOINTS: u32 = 100;

    /// The life of the event of this row; `None` when it does not exist or was purged.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of<S: EventAdmin + ?Sized>(
        store: &S,
        event: RowId,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        match store.event(event).await? {
            Some(event) => Self::assemble(store, event, now).await.map(Some),
            None => Ok(None),
        }
    }

    /// The lives of the events with this key: at most one for each endpoint, or the one of `endpoint`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_key<S: EventAdmin + ?Sized>(
        store: &S,
        endpoint: Option<Arc<str>>,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Vec<Self>, StoreError> {
        let page = PageRequest { limit: Self::MAX_ENDPOINTS, ..PageRequest::first() };
        let query =
            EventQuery { idempotency_key: Some(key.clone()), endpoint, page, ..EventQuery::default() };
        let mut lives = Vec::new();
        for event in store.events(&query).await?.items {
            lives.push(Self::assemble(store, event, now).await?);
        }
        Ok(lives)
    }

    async fn assemble<S: EventAdmin + ?Sized>(
        store: &S,
        event: StoredEvent,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let queue = if event.state.is_settled() { None } else { store.queue_of(event.id).await? };
        let status = EventStatus::of(&event, queue, now);
        let oldest = PageRequest { limit: Self::MAX_ROWS, ..PageRequest::first() };
        let newest = PageRequest { limit: Self::MAX_ROWS, ..PageRequest::newest() };
        let conflicts = store.conflicts_of(event.id, oldest).await?;
        let of_event = AttemptQuery { event: Some(event.id), page: newest, ..AttemptQuery::default() };
        let attempts = store.attempts(&of_event).await?;
        let audit = store.audit_of(event.id, newest).await?;
        let more = [conflicts.next, attempts.next, audit.next].iter().any(Option::is_some);
        let (conflicts, attempts, audit) = (conflicts.items, attempts.items, audit.items);
        Ok(Self { event, status, conflicts, attempts, audit, more })
    }
}

/// When an event runs next and why it waits, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventStatus {
    /// The next worker that has room runs it.
    Due,
    /// It waits until a time: its back-off or settle window ends then.
    Waits {
        /// When it can run.
        until: Timestamp,
        /// Whether later events of its session may run meanwhile.
        passable: bool,
    },
    /// Another event of its session runs first.
    Behind {
        /// The other event's row.
        event: RowId,
        /// Whether the other event runs now. If not, it is the next one.
        running: bool,
    },
    /// It has crashed before, and such events run one at a time: it waits for its turn.
    Suspect,
    /// It runs.
    Running {
        /// The worker that claimed it.
        worker: Option<String>,
        /// When its lease ends, unless the worker renews it; `None` when it ended meanwhile.
        leased_until: Option<Timestamp>,
    },
    /// It is settled: nothing more happens unless it is replayed.
    Settled {
        /// The state in which it ended, by its name.
        state: EventState,
        /// When it was settled.
        at: Option<Timestamp>,
        /// The last error of a dead letter, or why it was ignored or discarded.
        note: Option<String>,
    },
}

impl EventStatus {
    /// The status of an event whose queue is this. Without a queue, an event that waits is due.
    pub fn of(event: &StoredEvent, queue: Option<QueueState>, now: Timestamp) -> Self {
        if event.state.is_settled() {
            return Self::Settled { state: event.state, at: event.settled_at, note: event.note.clone() };
        }
        let running = queue.as_ref().and_then(|queue| queue.running.as_ref());
        let of_event = running.filter(|running| running.event == event.id);
        if event.state == EventState::Running || of_event.is_some() {
            let worker = of_event.and_then(|running| running.worker.clone()).or_else(|| event.worker.clone());
            return Self::Running { worker, leased_until: of_event.map(|running| running.leased_until) };
        }
        if let Some(running) = running {
            return Self::Behind { event: running.event, running: true };
        }
        queue.map_or(Self::Due, |queue| Self::of_waiting(event, &queue, now))
    }

    /// The status of an event in a queue in which nothing runs.
    fn of_waiting(event: &StoredEvent, queue: &QueueState, now: Timestamp) -> Self {
        let passable = queue.passable;
        let turn = SessionOrder::default().turn(queue.first, queue.passed, now);
        match turn {
            // Workers look at the queue when a settle window ends that only they know.
            Turn::Run(next) if next == event.id && queue.due_at > now && !passable => {
                Self::Waits { until: queue.due_at, passable }
            }
            Turn::Run(next) if next == event.id && queue.suspect => Self::Suspect,
            Turn::Run(next) if next == event.id => Self::Due,
            Turn::Run(next) if !passable || event.due_at <= now => {
                Self::Behind { event: next, running: false }
            }
            _ => match queue.first.filter(|first| first.event != event.id && !passable) {
                Some(first) => Self::Behind { event: first.event, running: false },
                None => Self::Waits { until: event.due_at, passable },
            },
        }
    }
}

#[cfg(test)]
mod tests;
