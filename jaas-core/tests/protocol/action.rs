//! What can happen next.

/// One step. A transaction takes two of them when others may act between its lock and its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A receiver inserts an event, or finds that its key is taken.
    Insert { process: usize, event: usize },
    /// The receiver locks or inserts the queue, and commits; with `hand_over` the queue is claimed too.
    CommitAccept { process: usize, hand_over: bool },
    /// A worker locks a queue that is due.
    LockForClaim { process: usize, session: usize },
    /// The worker reads the head, claims it, counts a crash, or does neither, and commits.
    CommitClaim { process: usize },
    /// A worker renews an expired lease.
    Renew { process: usize },
    /// A worker commits its handler's effects without a settle. Only in a broken variant.
    CommitEffects { process: usize },
    /// A worker whose handler has ended runs the event that follows, and settles after it has begun.
    RunAhead { process: usize },
    /// A worker whose handler has ended locks the queue of its event.
    LockForSettle { process: usize },
    /// The worker records the outcome, reads the head, claims it if `next` is asked for, and commits.
    CommitSettle { process: usize, outcome: Outcome, next: bool },
    /// A settle or a renewal reports that the lease is lost, and the worker drops the run.
    Refused { process: usize },
    /// A process ends: its transactions roll back, and it forgets what it holds.
    Crash { process: usize },
    /// The lease on a session expires.
    Expire { session: usize },
    /// Time passes.
    Tick,
    /// An operator replays a settled event.
    Replay { event: usize },
    /// An operator discards a waiting event.
    Discard { event: usize },
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed { backoff: u8 },
    Dead,
    Released,
    GivenBack,
}

impl Action {
    /// The kind of step, so that a test can check that each kind is taken.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "insert",
            Self::CommitAccept { hand_over: false, .. } => "accept",
            Self::CommitAccept { hand_over: true, .. } => "hand over",
            Self::LockForClaim { .. } => "lock for claim",
            Self::CommitClaim { .. } => "claim",
            Self::Renew { .. } => "renew",
            Self::CommitEffects { .. } => "effects",
            Self::RunAhead { .. } => "run ahead",
            Self::LockForSettle { .. } => "lock for settle",
            Self::CommitSettle { outcome: Outcome::Done, next: true, .. } => "done, next",
            Self::CommitSettle { outcome: Outcome::Done, next: false, .. } => "done",
            Self::CommitSettle { outcome: Outcome::Failed { .. }, next: true, .. } => "failed, next",
            Self::CommitSettle { outcome: Outcome::Failed { .. }, next: false, .. } => "failed",
            Self::CommitSettle { outcome: Outcome::Dead, .. } => "dead",
            Self::CommitSettle { outcome: Outcome::Released, .. } => "released",
            Self::CommitSettle { outcome: Outcome::GivenBack, .. } => "given back",
            Self::Refused { .. } => "refused",
            Self::Crash { .. } => "crash",
            Self::Expire { .. } => "expire",
            Self::Tick => "tick",
            Self::Replay { .. } => "replay",
            Self::Discard { .. } => "discard",
        }
    }
}
