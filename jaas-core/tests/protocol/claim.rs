//! Workers that look for work: the claim of a session, and the takeover of a lost lease.

use crate::protocol::action::Action;
use crate::protocol::model::Protocol;
use crate::protocol::state::{Lease, PROCESSES, Phase, Queue, SESSIONS, State, Worker};
use crate::protocol::variant::Variant;

impl Protocol {
    pub(crate) fn claim_steps(&self, state: &State, actions: &mut Vec<Action>) {
        for process in 0..PROCESSES {
            match state.processes[process].worker {
                Worker::Idle => {
                    let sessions = (0..SESSIONS).filter(|session| self.claimable(state, *session));
                    actions.extend(sessions.map(|session| Action::LockForClaim { process, session }));
                }
                Worker::Claiming { .. } => actions.push(Action::CommitClaim { process }),
                Worker::Running(_) | Worker::Settling { .. } => {}
            }
        }
    }

    /// Whether a claim would pick this queue.
    fn claimable(&self, state: &State, session: usize) -> bool {
        let Some(queue) = state.queues[session].filter(|_| !self.locked(state, session)) else {
            return false;
        };
        let due = if queue.running.is_some() { queue.expired } else { queue.due == 0 };
        due && self.spares(state, &queue)
    }

    /// Whether the filter lets a queue through. A suspect passes only while no other one runs.
    pub(crate) fn spares(&self, state: &State, queue: &Queue) -> bool {
        // An expired lease must pass: the turn may be its own, and only its takeover frees it.
        let expired = queue.running.is_some() && self.variant != Variant::FilterHidesExpired;
        expired || !queue.suspect || state.turn_free() || self.variant == Variant::LimitBeforeFilter
    }

    pub(crate) fn commit_claim(&self, state: &mut State, process: usize) {
        let Worker::Claiming { session, turn_free } = state.processes[process].worker else { return };
        state.processes[process].worker = Worker::Idle;
        let Some(queue) = state.queues[session] else { return };
        // Another claim may take the turn between this one's lock and its commit.
        let lost_the_turn = turn_free && !state.turn_free();
        match queue.running {
            Some(lost) => self.take_over(state, session, lost),
            None => self.claim_head(state, process, session, turn_free),
        }
        // A claim that changes nothing is repeated forever, and younger queues are never reached.
        state.wrongs.vain_claim |= state.queues[session] == Some(queue) && !lost_the_turn;
    }

    fn take_over(&self, state: &mut State, session: usize, lost: Lease) {
        let event = &mut state.events[lost.event];
        if self.variant != Variant::TakeoverKeepsTheFence {
            event.fence = lost.fence;
        }
        event.crashes += 1;
        if event.crashes >= self.bounds.max_crashes {
            event.phase = Phase::Dead;
        }
        if self.variant == Variant::DeadLetterKeepsTheQueue {
            state.queues[session] = Some(Queue::unclaimed(0, true));
        } else {
            self.unclaim(state, session);
        }
    }

    fn claim_head(&self, state: &mut State, process: usize, session: usize, turn_free: bool) {
        let Some(event) = self.runnable(state, session) else {
            return self.unclaim(state, session);
        };
        let free = if self.variant == Variant::SuspectsShareTheTurn { turn_free } else { state.turn_free() };
        if state.events[event].crashes == 0 || free {
            self.issue(state, process, event);
        } else if let Some(queue) = &mut state.queues[session] {
            queue.suspect = true;
        }
    }
}
