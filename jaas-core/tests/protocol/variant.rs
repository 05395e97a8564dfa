//! The protocol as it should be, and the ways to get it wrong.

/// Which protocol is modelled. All share every line but those that name their variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The protocol.
    Correct,
    /// Accept looks for the key, and inserts without a unique key.
    AcceptSelectsThenInserts,
    /// Accept leaves a claimed queue alone without its lock, and relies on its run to find the event.
    AcceptTrustsTheClaim,
    /// Accept finds that the queue exists, and does not insert it when it is gone once the lock is free.
    AcceptFindsTheQueueGone,
    /// Accept does not lower when an unclaimed queue is due.
    AcceptDoesNotLower,
    /// Accept leaves the mark of a suspect on a queue whose head may be another one now.
    AcceptKeepsTheMark,
    /// Of several events of a session in one transaction, accept hands over the one that came first.
    HandOverAsTheyCome,
    /// A takeover does not write the fence of the lost lease to the event.
    TakeoverKeepsTheFence,
    /// A takeover that dead-letters the event leaves the queue for the next claim.
    DeadLetterKeepsTheQueue,
    /// A suspect is claimed because the turn was free before the lock, and nothing is unique.
    SuspectsShareTheTurn,
    /// The filter that spares suspects while one runs also spares expired leases.
    FilterHidesExpired,
    /// A claim takes the oldest queues and finds out only then that they are suspects.
    LimitBeforeFilter,
    /// Settle compares the event, and not the fence.
    SettleIgnoresTheFence,
    /// Settle reads the head, and then takes the lock.
    SettleReadsBeforeTheLock,
    /// A run continues with the event that followed when the session was claimed.
    RunGoesOnWithAList,
    /// A run goes ahead by a list although this process has accepted an earlier event since.
    ListOutlivesAccepts,
    /// An event that ran ahead is recorded beside another one although it was discarded or replayed since it was
    /// listed.
    BesideIgnoresChanges,
    /// The next event of a suspect's run keeps the turn.
    RunKeepsTheTurn,
    /// Settle deletes the queue when only passed events wait.
    SettleForgetsThePassed,
    /// A queue is due as soon as any event that was passed is, even one that its head holds back.
    LaterPassedWakeTheQueue,
    /// The effects are committed in a separate transaction, before the settle.
    EffectsCommitApart,
    /// Release and give-back leave the event's fence as it was before the claim.
    ReturnKeepsTheFence,
    /// Replay sets the fence to zero along with the counts.
    ReplayResetsTheFence,
    /// Replay makes the queue due although it is claimed.
    ReplayLowersTheClaimed,
    /// Discard leaves the queue as it is.
    DiscardKeepsTheQueue,
}
