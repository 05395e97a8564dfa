//! Which sessions have an event to run: one queue for each session with an event waiting or running.

use std::collections::{BTreeSet, HashMap};

use crate::store::{Lease, RowId, StoredEvent};
use crate::timestamp::Timestamp;

/// Identifies the events that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum QueueKey {
    Session(String),
    /// An event without a session has a separate queue.
    Event(RowId),
}

impl QueueKey {
    pub(super) fn of(event: &StoredEvent) -> Self {
        match &event.session_id {
            Some(session) => Self::Session(session.as_str().to_owned()),
            None => Self::Event(event.id),
        }
    }
}

/// The events of a session that wait, and the event that runs.
#[derive(Debug)]
pub(super) struct Queue {
    /// Events that may not be passed, by when they happened.
    pub(super) first: BTreeSet<(Timestamp, RowId)>,
    /// Events that may be passed, by when their back-off ends.
    pub(super) passed: BTreeSet<(Timestamp, RowId)>,
    pub(super) running: Option<Lease>,
    /// When to look at the queue next; while an event runs, the end of its lease.
    pub(super) due_at: Timestamp,
    pub(super) phase: Phase,
}

/// The phase of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Waiting,
    /// The event at its head has crashed before.
    Suspect,
    Running,
}

impl Queue {
    fn new(due_at: Timestamp) -> Self {
        Self { first: BTreeSet::new(), passed: BTreeSet::new(), running: None, due_at, phase: Phase::Waiting }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_key: HashMap<QueueKey, Queue>,
    /// Every queue by phase, due time and key.
    due: BTreeSet<(Phase, Timestamp, QueueKey)>,
    /// The queue of the one suspect that runs.
    pub(super) suspect_runs: Option<QueueKey>,
}

impl Queues {
    pub(super) fn get(&self, key: &QueueKey) -> Option<&Queue> {
        self.by_key.get(key)
    }

    /// Returns the queue, created if necessary, in which an event now waits that is due at that time. When it becomes
    /// the first of those that may not be passed, the previous head no longer decides.
    pub(super) fn waiting(
        &mut self,
        key: QueueKey,
        due_at: Timestamp,
        place: Option<(Timestamp, RowId)>,
    ) -> &mut Queue {
        let queue = self.by_key.entry(key.clone()).or_insert_with(|| Queue::new(due_at));
        self.due.remove(&(queue.phase, queue.due_at, key.clone()));
        if queue.running.is_none() {
            queue.due_at = queue.due_at.min(due_at);
            if place.is_some_and(|place| queue.first.first().is_none_or(|first| place < *first)) {
                queue.phase = Phase::Waiting;
            }
        }
        self.due.insert((queue.phase, queue.due_at, key));
        queue
    }

    /// Returns up to `limit` queues that are due, the longest due first.
    pub(super) fn due(&self, phase: Phase, now: Timestamp, limit: usize) -> Vec<QueueKey> {
        let smallest = (phase, Timestamp::from_millis(i64::MIN), QueueKey::Session(String::new()));
        let due = self.due.range(smallest..).take_while(|(of, at, _)| *of == phase && *at <= now);
        due.take(limit).map(|(.., key)| key.clone()).collect()
    }

    /// Returns whether a queue is due, and when the next one will be.
    pub(super) fn next_due(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let next = |phase| {
            let after = self.due.range((phase, now, QueueKey::Event(RowId::new(i64::MAX)))..);
            after.take_while(|(of, ..)| *of == phase).map(|(_, at, _)| *at).find(|at| *at > now)
        };
        let is_due = |phase| !self.due(phase, now, 1).is_empty();
        let next = [Phase::Waiting, Phase::Suspect, Phase::Running].into_iter().filter_map(next).min();
        (is_due(Phase::Waiting) || is_due(Phase::Suspect), next)
    }

    /// Lets an event run until its lease ends.
    pub(super) fn run(&mut self, key: &QueueKey, lease: Lease, until: Timestamp) {
        self.schedule(key, |queue| {
            queue.running = Some(lease);
            queue.phase = Phase::Running;
            queue.due_at = until;
        });
    }

    /// Extends the lease of the event that runs.
    pub(super) fn extend(&mut self, key: &QueueKey, until: Timestamp) {
        self.schedule(key, |queue| queue.due_at = until);
    }

    /// Lets nothing run in the queue, and looks at it again at that time.
    pub(super) fn wait(&mut self, key: &QueueKey, until: Timestamp, suspect: bool) {
        if self.suspect_runs.as_ref() == Some(key) {
            self.suspect_runs = None;
        }
        self.schedule(key, |queue| {
            queue.running = None;
            queue.due_at = until;
            queue.phase = if suspect { Phase::Suspect } else { Phase::Waiting };
        });
    }

    /// Removes a queue in which nothing waits.
    pub(super) fn remove(&mut self, key: &QueueKey) {
        if self.suspect_runs.as_ref() == Some(key) {
            self.suspect_runs = None;
        }
        if let Some(queue) = self.by_key.remove(key) {
            self.due.remove(&(queue.phase, queue.due_at, key.clone()));
        }
    }

    pub(super) fn get_mut(&mut self, key: &QueueKey) -> Option<&mut Queue> {
        self.by_key.get_mut(key)
    }

    fn schedule(&mut self, key: &QueueKey, change: impl FnOnce(&mut Queue)) {
        let Some(queue) = self.by_key.get_mut(key) else { return };
        self.due.remove(&(queue.phase, queue.due_at, key.clone()));
        change(queue);
        self.due.insert((queue.phase, queue.due_at, key.clone()));
    }
}
