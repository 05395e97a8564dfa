//! Workers whose handler has ended: the settle, and the next event of a session's run.

use crate::protocol::action::{Action, Outcome};
use crate::protocol::model::Protocol;
use crate::protocol::state::{Lease, PROCESSES, Phase, Run, State, Worker};
use crate::protocol::variant::Variant;

impl Protocol {
    pub(crate) fn settle_steps(&self, state: &State, actions: &mut Vec<Action>) {
        for process in 0..PROCESSES {
            match state.processes[process].worker {
                Worker::Running(run) => self.run_steps(state, process, run, actions),
                Worker::Settling { run, saw_more } => {
                    let session = self.session(run.lease.event);
                    if !self.honours(state, run.lease) {
                        actions.push(Action::Refused { process });
                    } else if saw_more.is_none() || !self.locked(state, session) {
                        self.outcomes(state, process, run, actions);
                    }
                }
                Worker::Idle | Worker::Claiming { .. } => {}
            }
        }
    }

    fn run_steps(&self, state: &State, process: usize, run: Run, actions: &mut Vec<Action>) {
        let session = self.session(run.lease.event);
        let queue = state.queues[session];
        let names = queue.and_then(|queue| queue.running).is_some_and(|lease| lease.event == run.lease.event);
        if names && !self.locked(state, session) {
            actions.push(Action::LockForSettle { process });
        }
        if !self.honours(state, run.lease) {
            actions.push(Action::Refused { process });
            return;
        }
        if queue.is_some_and(|queue| queue.expired) && !self.locked(state, session) {
            actions.push(Action::Renew { process });
        }
        if self.bounds.ahead && run.ahead.is_some() && !run.ran {
            actions.push(Action::RunAhead { process });
        }
        if self.variant == Variant::EffectsCommitApart && !run.effects {
            actions.push(Action::CommitEffects { process });
        }
    }

    /// The handler of the following event begins before the previous event is recorded.
    pub(crate) fn run_ahead(&self, state: &mut State, process: usize) {
        if let Worker::Running(run) = &mut state.processes[process].worker {
            run.ran = true;
            state.wrongs.order |= run.overtaken;
        }
    }

    fn outcomes(&self, state: &State, process: usize, run: Run, actions: &mut Vec<Action>) {
        if run.ran {
            // Its handler has succeeded, and the run continues.
            actions.push(Action::CommitSettle { process, outcome: Outcome::Done, next: true });
            return;
        }
        for next in [true, false] {
            actions.push(Action::CommitSettle { process, outcome: Outcome::Done, next });
            if state.left.failures > 0 && !run.effects {
                let failed = |backoff: &u8| Outcome::Failed { backoff: *backoff };
                let outcomes = self.bounds.backoffs.iter().map(failed).chain([Outcome::Dead]);
                actions.extend(outcomes.map(|outcome| Action::CommitSettle { process, outcome, next }));
            }
        }
        if state.left.returns > 0 && !run.effects {
            let outcomes = [Outcome::Released, Outcome::GivenBack];
            actions.extend(outcomes.map(|outcome| Action::CommitSettle { process, outcome, next: false }));
        }
    }

    pub(crate) fn renew(&self, state: &mut State, process: usize) {
        let Some(run) = state.processes[process].worker.run() else { return };
        if let Some(queue) = &mut state.queues[self.session(run.lease.event)] {
            queue.expired = false;
        }
    }

    pub(crate) fn commit_effects(&self, state: &mut State, process: usize) {
        if let Worker::Running(run) = &mut state.processes[process].worker {
            run.effects = true;
            state.events[run.lease.event].effects += 1;
        }
    }

    pub(crate) fn lock_for_settle(&self, state: &mut State, process: usize) {
        let Some(run) = state.processes[process].worker.run() else { return };
        let more = self.waiting(state, self.session(run.lease.event)).any(|other| other != run.lease.event);
        let saw_more = (self.variant == Variant::SettleReadsBeforeTheLock).then_some(more);
        state.processes[process].worker = Worker::Settling { run, saw_more };
    }

    pub(crate) fn commit_settle(&self, state: &mut State, process: usize, outcome: Outcome, next: bool) {
        let Worker::Settling { run, saw_more } = state.processes[process].worker else { return };
        state.processes[process].worker = Worker::Idle;
        state.wrongs.stale_settle |= run.lease.fence < state.events[run.lease.event].issued;
        self.record(state, run, outcome);

        let session = self.session(run.lease.event);
        if let Some(beside) = run.beside {
            self.record_beside(state, beside);
        }
        let ahead = run.ahead.filter(|_| self.variant == Variant::RunGoesOnWithAList);
        let ahead =
            ahead.map(|lease| lease.event).filter(|event| state.events[*event].phase == Phase::Waiting);
        let follower = ahead.or_else(|| self.runnable(state, session)).filter(|_| next);
        if saw_more == Some(false) && outcome == Outcome::Done {
            state.queues[session] = None;
        } else if let Some(event) = follower.filter(|event| state.events[*event].crashes == 0) {
            let turn = state.queues[session].is_some_and(|queue| queue.turn);
            self.issue(state, process, event);
            if let Some(queue) = &mut state.queues[session] {
                queue.turn |= turn && self.variant == Variant::RunKeepsTheTurn;
            }
            if let Worker::Running(next) = &mut state.processes[process].worker {
                // The event that ran ahead is the one that runs now, or one has come before it.
                next.beside = run.ahead.filter(|ahead| run.ran && ahead.event != event);
            }
        } else {
            self.unclaim(state, session);
        }
        if self.variant == Variant::SettleForgetsThePassed && self.head(state, session).is_none() {
            state.queues[session] = None;
        }
    }

    /// Settles an event that ran ahead, in the transaction that settles another event of its session, if it still waits
    /// as it did when it was listed.
    fn record_beside(&self, state: &mut State, lease: Lease) {
        let event = &mut state.events[lease.event];
        let as_listed = event.phase == Phase::Waiting && event.fence + 1 == lease.fence;
        if as_listed || self.variant == Variant::BesideIgnoresChanges {
            state.wrongs.stale_settle |= !as_listed;
            (event.phase, event.fence) = (Phase::Done, lease.fence);
            event.effects += 1;
        }
    }

    /// Writes the outcome to the event, under the lock of its queue.
    fn record(&self, state: &mut State, run: Run, outcome: Outcome) {
        let event = &mut state.events[run.lease.event];
        let returned = matches!(outcome, Outcome::Released | Outcome::GivenBack);
        if !(returned && self.variant == Variant::ReturnKeepsTheFence) {
            event.fence = run.lease.fence;
        }
        match outcome {
            Outcome::Done => {
                event.phase = Phase::Done;
                event.effects += u8::from(!run.effects);
            }
            Outcome::Failed { backoff } => {
                state.left.failures -= 1;
                event.failures += 1;
                event.passed |= event.failures >= self.bounds.hold_failures;
                event.due = backoff;
            }
            Outcome::Dead => {
                state.left.failures -= 1;
                event.failures += 1;
                event.phase = Phase::Dead;
            }
            Outcome::Released | Outcome::GivenBack => state.left.returns -= 1,
        }
    }
}
