//! Unwanted steps: crashes, leases that expire, and time that passes.

use crate::protocol::action::Action;
use crate::protocol::model::Protocol;
use crate::protocol::state::{PROCESSES, Phase, Process, SESSIONS, State, Worker};

impl Protocol {
    pub(crate) fn misfortunes(&self, state: &State, actions: &mut Vec<Action>) {
        for process in (0..PROCESSES).filter(|_| state.left.crashes > 0) {
            if state.processes[process] != Process::default() {
                actions.push(Action::Crash { process });
            }
        }
        for session in 0..SESSIONS {
            let Some(queue) = state.queues[session].filter(|queue| !queue.expired) else { continue };
            // A lease that is not renewed always expires. A lease whose holder lives expires as often as the bounds
            // allow.
            if queue.running.is_some_and(|lease| !state.holds(lease) || state.left.expiries > 0) {
                actions.push(Action::Expire { session });
            }
        }
        let waits = state.events.iter().any(|event| event.phase == Phase::Waiting && event.due > 0);
        if waits || state.queues.iter().flatten().any(|queue| queue.due > 0) {
            actions.push(Action::Tick);
        }
    }

    pub(crate) fn crash(&self, state: &mut State, process: usize) {
        state.left.crashes -= 1;
        if let Some(accepting) = state.processes[process].accepting {
            // The sender has no response, so it sends again.
            for event in accepting.events() {
                state.to_come[event] += 1;
            }
        }
        state.processes[process] = Process { accepting: None, worker: Worker::Idle };
    }

    pub(crate) fn expire(&self, state: &mut State, session: usize) {
        let lease = state.queues[session].and_then(|queue| queue.running);
        if lease.is_some_and(|lease| state.holds(lease)) {
            state.left.expiries -= 1;
        }
        if let Some(queue) = &mut state.queues[session] {
            queue.expired = true;
        }
    }

    pub(crate) fn tick(&self, state: &mut State) {
        for event in &mut state.events {
            event.due = event.due.saturating_sub(1);
        }
        for queue in state.queues.iter_mut().flatten() {
            queue.due = queue.due.saturating_sub(1);
        }
    }
}
