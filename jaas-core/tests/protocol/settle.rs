//! Workers whose handler has ended: the settle, and the next event of a session's run.

use crate::action::{Action, Outcome};
use crate::model::Protocol;
use crate::state::{PROCESSES, Phase, Run, State, Worker};
use crate::variant::Variant;

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
        if self.variant == Variant::EffectsCommitApart && !run.effects {
            actions.push(Action::CommitEffects { process });
        }
    }

    fn outcomes(&self, state: &State, process: usize, run: Run, actions: &mut Vec<Action>) {
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
        let ahead = run.ahead.filter(|event| state.events[*event].phase == Phase::Waiting);
        let follower = ahead.or_else(|| self.runnable(state, session)).filter(|_| next);
        if saw_more == Some(false) && outcome == Outcome::Done {
            state.queues[session] = None;
        } else if let Some(event) = follower.filter(|event| state.events[*event].crashes == 0) {
            let turn = state.queues[session].is_some_and(|queue| queue.turn);
            self.issue(state, process, event);
            if let Some(queue) = &mut state.queues[session] {
                queue.turn |= turn && self.variant == Variant::RunKeepsTheTurn;
            }
        } else {
            self.unclaim(state, session);
        }
        if self.variant == Variant::SettleForgetsThePassed && self.head(state, session).is_none() {
            state.queues[session] = None;
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
