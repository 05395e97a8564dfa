//! One state of the model: the committed rows, and what each process holds.

use crate::protocol::bounds::Bounds;

/// How many events there can be. The index of an event is its key and its place in the order of its session.
pub(crate) const EVENTS: usize = 4;
/// How many sessions there can be.
pub(crate) const SESSIONS: usize = 2;
/// How many processes there are, each with a receiver and a worker that has room for one run.
pub(crate) const PROCESSES: usize = 2;

/// Everything that decides what can happen next, and what has gone wrong so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) events: [Event; EVENTS],
    pub(crate) queues: [Option<Queue>; SESSIONS],
    pub(crate) processes: [Process; PROCESSES],
    /// Copies of each event that the sender still sends.
    pub(crate) to_come: [u8; EVENTS],
    pub(crate) left: Left,
    pub(crate) wrongs: Wrongs,
}

/// A row of the table of events, and what the model counts beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    /// Committed rows with this key.
    pub(crate) rows: u8,
    pub(crate) phase: Phase,
    pub(crate) failures: u8,
    pub(crate) crashes: u8,
    pub(crate) passed: bool,
    /// Ticks until it may run; 0 when it is due.
    pub(crate) due: u8,
    pub(crate) fence: u8,
    /// The highest fence of all leases of this event.
    pub(crate) issued: u8,
    /// Committed effects since it was accepted or replayed.
    pub(crate) effects: u8,
}

/// The state of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    #[default]
    Absent,
    Waiting,
    Done,
    Dead,
    Discarded,
}

/// A row of the table of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    /// While unclaimed, ticks until it may be claimed.
    pub(crate) due: u8,
    /// The event that runs, and its fence.
    pub(crate) running: Option<Lease>,
    /// While claimed, whether the lease has expired.
    pub(crate) expired: bool,
    pub(crate) suspect: bool,
    pub(crate) turn: bool,
}

/// The right to settle an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) event: usize,
    pub(crate) fence: u8,
}

/// A receiver and a worker that crash together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) accepting: Option<Accepting>,
    pub(crate) worker: Worker,
}

/// A transaction that has inserted one event, or two, and not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Accepting {
    pub(crate) first: usize,
    pub(crate) second: Option<usize>,
    /// Only in broken variants: what the transaction assumes about the first event's queue without its lock.
    pub(crate) believes: bool,
}

/// The current activity of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Worker {
    #[default]
    Idle,
    /// A transaction that holds the lock of a queue and has not read its head.
    Claiming { session: usize, turn_free: bool },
    /// A handler runs.
    Running(Run),
    /// A transaction that holds the lock of the run's queue and has recorded nothing.
    Settling {
        run: Run,
        /// Only in a broken variant, which has no lock yet: whether something else waited.
        saw_more: Option<bool>,
    },
}

/// A lease that a worker assumes to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) lease: Lease,
    /// The event that followed when this one was claimed, with the fence it would be claimed with.
    pub(crate) ahead: Option<Lease>,
    /// Whether this event is done, and the following one runs before that is recorded.
    pub(crate) ran: bool,
    /// An event that ran ahead and is not recorded, because an earlier one had come.
    pub(crate) beside: Option<Lease>,
    /// Only in a broken variant: this process accepted an event earlier than the following one.
    pub(crate) overtaken: bool,
    /// Only in a broken variant: the effects are committed already.
    pub(crate) effects: bool,
}

/// How often each misfortune can still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) crashes: u8,
    pub(crate) expiries: u8,
    pub(crate) failures: u8,
    pub(crate) returns: u8,
    pub(crate) replays: u8,
    pub(crate) discards: u8,
}

/// A forbidden result of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wrongs {
    /// A settle counted although a newer lease of its event had been issued.
    pub(crate) stale_settle: bool,
    /// An event was claimed while an earlier one waited.
    pub(crate) order: bool,
    /// A lease was issued whose fence is not above all earlier ones.
    pub(crate) lease_again: bool,
    /// A claim took a queue's lock and changed nothing, and lost no race.
    pub(crate) vain_claim: bool,
}

impl Accepting {
    /// The events it has inserted, as they came.
    pub(crate) fn events(self) -> impl Iterator<Item = usize> {
        [Some(self.first), self.second].into_iter().flatten()
    }
}

impl Queue {
    pub(crate) fn unclaimed(due: u8, suspect: bool) -> Self {
        Self { due, running: None, expired: false, suspect, turn: false }
    }
}

impl Worker {
    /// The run that this worker assumes to hold.
    pub(crate) fn run(&self) -> Option<Run> {
        match *self {
            Self::Running(run) | Self::Settling { run, .. } => Some(run),
            Self::Idle | Self::Claiming { .. } => None,
        }
    }
}

impl State {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self {
            events: Default::default(),
            queues: Default::default(),
            processes: Default::default(),
            to_come: bounds.copies,
            left: bounds.left,
            wrongs: Wrongs::default(),
        }
    }

    /// Whether no queue has the suspects' turn.
    pub(crate) fn turn_free(&self) -> bool {
        !self.queues.iter().flatten().any(|queue| queue.turn)
    }

    /// Whether a worker assumes to hold this lease.
    pub(crate) fn holds(&self, lease: Lease) -> bool {
        self.processes.iter().any(|process| process.worker.run().is_some_and(|run| run.lease == lease))
    }
}
