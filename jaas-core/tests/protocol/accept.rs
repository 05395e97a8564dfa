//! Receivers: events and their queues in one transaction.

use crate::protocol::action::Action;
use crate::protocol::model::Protocol;
use crate::protocol::state::{Accepting, EVENTS, Lease, PROCESSES, Phase, Queue, State, Worker};
use crate::protocol::variant::Variant;

impl Protocol {
    pub(crate) fn accept_steps(&self, state: &State, actions: &mut Vec<Action>) {
        for process in 0..PROCESSES {
            let accepting = state.processes[process].accepting;
            if accepting.is_none_or(|accepting| self.bounds.batches && accepting.second.is_none()) {
                let events = (0..EVENTS).filter(|event| state.to_come[*event] > 0);
                let events = events.filter(|event| self.key_free(state, *event));
                actions.extend(events.map(|event| Action::Insert { process, event }));
            }
            let Some(accepting) = accepting else { continue };
            if accepting.events().any(|event| self.waits_for_lock(state, accepting, event)) {
                continue;
            }
            actions.push(Action::CommitAccept { process, hand_over: false });
            if self.bounds.hand_over
                && self.bounds.window == 0
                && state.queues[self.session(accepting.first)].is_none()
                && state.processes[process].worker == Worker::Idle
            {
                actions.push(Action::CommitAccept { process, hand_over: true });
            }
        }
    }

    fn waits_for_lock(&self, state: &State, accepting: Accepting, event: usize) -> bool {
        let trusts = accepting.believes && self.variant == Variant::AcceptTrustsTheClaim;
        self.locked(state, self.session(event)) && !trusts
    }

    /// Whether no other transaction has inserted this key; the next one has to wait for that.
    fn key_free(&self, state: &State, event: usize) -> bool {
        let inserted = |other: Accepting| other.events().any(|other| other == event);
        self.variant == Variant::AcceptSelectsThenInserts
            || !state.processes.iter().any(|process| process.accepting.is_some_and(inserted))
    }

    pub(crate) fn insert(&self, state: &mut State, process: usize, event: usize) {
        state.to_come[event] -= 1;
        if state.events[event].rows > 0 {
            return;
        }
        if let Some(accepting) = &mut state.processes[process].accepting {
            accepting.second = Some(event);
            return;
        }
        let queue = state.queues[self.session(event)];
        let believes = match self.variant {
            Variant::AcceptTrustsTheClaim => queue.is_some_and(|queue| queue.running.is_some()),
            Variant::AcceptFindsTheQueueGone => queue.is_some(),
            _ => false,
        };
        state.processes[process].accepting = Some(Accepting { first: event, second: None, believes });
    }

    pub(crate) fn commit_accept(&self, state: &mut State, process: usize, hand_over: bool) {
        let Some(accepting) = state.processes[process].accepting.take() else { return };
        for event in accepting.events() {
            state.events[event].rows += 1;
            state.events[event].phase = Phase::Waiting;
            state.events[event].due = self.bounds.window;
        }
        if let Worker::Running(run) = &mut state.processes[process].worker {
            // An accept of this process makes its list useless. It may not know what others accept.
            let earlier = |ahead: &Lease| accepting.events().any(|event| event < ahead.event);
            if self.variant == Variant::ListOutlivesAccepts {
                run.overtaken |= run.ahead.as_ref().is_some_and(earlier) && !run.ran;
            } else if !run.ran {
                run.ahead = None;
            }
        }
        if hand_over {
            let head = self.runnable(state, self.session(accepting.first));
            let head = head.filter(|_| self.variant != Variant::HandOverAsTheyCome);
            self.issue(state, process, head.unwrap_or(accepting.first));
        }
        for event in accepting.events().filter(|_| !accepting.believes) {
            self.call(state, event);
        }
    }

    /// Makes sure that a newly waiting event has a queue, which is due no later than the event.
    pub(crate) fn call(&self, state: &mut State, event: usize) {
        let due = state.events[event].due;
        match &mut state.queues[self.session(event)] {
            None => state.queues[self.session(event)] = Some(Queue::unclaimed(due, false)),
            Some(queue) if queue.running.is_none() => {
                if self.variant != Variant::AcceptDoesNotLower {
                    queue.due = queue.due.min(due);
                }
                // The head may have changed. A claim that finds a suspect marks the queue again.
                queue.suspect &= self.variant == Variant::AcceptKeepsTheMark;
            }
            Some(_) => {}
        }
    }
}
