//! The protocol as a model to explore: which steps are possible, and what a queue's head is.

use stateright::{Model, Property};

use crate::protocol::action::Action;
use crate::protocol::bounds::Bounds;
use crate::protocol::properties;
use crate::protocol::state::{Lease, Phase, Process, Queue, Run, State, Worker};
use crate::protocol::variant::Variant;

/// A variant of the protocol within bounds.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) variant: Variant,
    pub(crate) bounds: Bounds,
    /// The only property to check, which makes its counterexample a shortest one in which processes keep their numbers.
    /// `None` checks all of them.
    pub(crate) only: Option<&'static str>,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.accept_steps(state, actions);
        self.claim_steps(state, actions);
        self.settle_steps(state, actions);
        self.operator_steps(state, actions);
        self.misfortunes(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Insert { process, event } => self.insert(&mut state, process, event),
            Action::CommitAccept { process, hand_over } => self.commit_accept(&mut state, process, hand_over),
            Action::LockForClaim { process, session } => {
                let turn_free = state.turn_free();
                state.processes[process].worker = Worker::Claiming { session, turn_free };
            }
            Action::CommitClaim { process } => self.commit_claim(&mut state, process),
            Action::Renew { process } => self.renew(&mut state, process),
            Action::CommitEffects { process } => self.commit_effects(&mut state, process),
            Action::RunAhead { process } => self.run_ahead(&mut state, process),
            Action::LockForSettle { process } => self.lock_for_settle(&mut state, process),
            Action::CommitSettle { process, outcome, next } => {
                self.commit_settle(&mut state, process, outcome, next);
            }
            Action::Refused { process } => state.processes[process].worker = Worker::Idle,
            Action::Crash { process } => self.crash(&mut state, process),
            Action::Expire { session } => self.expire(&mut state, session),
            Action::Tick => self.tick(&mut state),
            Action::Replay { event } => self.replay(&mut state, event),
            Action::Discard { event } => self.discard(&mut state, event),
        }
        if self.only.is_none() {
            // Nothing refers to a process by its number, so states that differ only in the numbers are the same.
            state.processes.sort_unstable();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::all();
        properties.retain(|property| self.only.is_none_or(|only| property.name == only));
        properties
    }
}

impl Protocol {
    pub(crate) fn session(&self, event: usize) -> usize {
        self.bounds.sessions[event]
    }

    /// Events of a session that wait, earliest first. A running event counts as waiting too.
    pub(crate) fn waiting<'a>(
        &'a self,
        state: &'a State,
        session: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let of_session = move |event: &usize| self.session(*event) == session;
        (0..state.events.len())
            .filter(of_session)
            .filter(|event| state.events[*event].phase == Phase::Waiting)
    }

    /// The next event: the earliest that waits, without those that were passed and are in their back-off.
    pub(crate) fn head(&self, state: &State, session: usize) -> Option<usize> {
        self.waiting(state, session).find(|event| {
            let event = &state.events[*event];
            !event.passed || event.due == 0
        })
    }

    /// The head when it may run now.
    pub(crate) fn runnable(&self, state: &State, session: usize) -> Option<usize> {
        self.head(state, session).filter(|event| state.events[*event].due == 0)
    }

    /// When the head may run or an earlier passed event comes back, whichever is first; `None` when nothing waits.
    pub(crate) fn wakes(&self, state: &State, session: usize) -> Option<u8> {
        let head = self.head(state, session);
        // An event that was passed and is later than the head waits for the head, whenever it is due.
        let earlier = |event: &usize| {
            head.is_none_or(|head| *event < head || self.variant == Variant::LaterPassedWakeTheQueue)
        };
        let passed = self.waiting(state, session).filter(|event| state.events[*event].passed).filter(earlier);
        head.into_iter().chain(passed).map(|event| state.events[event].due).min()
    }

    /// Whether the head has crashed before.
    pub(crate) fn suspect(&self, state: &State, session: usize) -> bool {
        self.head(state, session).is_some_and(|event| state.events[event].crashes > 0)
    }

    /// Leaves the queue unclaimed with what its head says, or deletes it when nothing waits.
    pub(crate) fn unclaim(&self, state: &mut State, session: usize) {
        let suspect = self.suspect(state, session);
        state.queues[session] = self.wakes(state, session).map(|due| Queue::unclaimed(due, suspect));
    }

    /// Claims an event of a session whose lock is held.
    pub(crate) fn issue(&self, state: &mut State, process: usize, event: usize) {
        let session = self.session(event);
        let earlier = self.waiting(state, session).find(|other| !state.events[*other].passed);
        state.wrongs.order |= earlier.is_some_and(|other| other < event);

        let fence = state.events[event].fence + 1;
        state.wrongs.lease_again |= fence <= state.events[event].issued;
        state.events[event].issued = fence.max(state.events[event].issued);

        let suspect = state.events[event].crashes > 0;
        let lease = Lease { event, fence };
        state.queues[session] =
            Some(Queue { due: 0, running: Some(lease), expired: false, suspect, turn: suspect });

        let listed = self.bounds.ahead || self.variant == Variant::RunGoesOnWithAList;
        let ahead = if listed { self.follows(state, event) } else { None };
        let run = Run { lease, ahead, ran: false, beside: None, overtaken: false, effects: false };
        state.processes[process].worker = Worker::Running(run);
    }

    /// The event that would run after this one, with the lease it would have then.
    fn follows(&self, state: &State, event: usize) -> Option<Lease> {
        let mut waiting = self.waiting(state, self.session(event));
        let nothing_was_passed = !waiting.any(|other| state.events[other].passed);
        let next = self.waiting(state, self.session(event)).find(|other| *other > event);
        let next = next.filter(|next| state.events[*next].due == 0 && state.events[*next].crashes == 0);
        let next = next.filter(|_| nothing_was_passed && state.events[event].crashes == 0);
        next.map(|next| Lease { event: next, fence: state.events[next].fence + 1 })
    }

    /// Whether a settle under this lease would count.
    pub(crate) fn honours(&self, state: &State, lease: Lease) -> bool {
        let running = state.queues[self.session(lease.event)].and_then(|queue| queue.running);
        running.is_some_and(|running| {
            running.event == lease.event
                && (running.fence == lease.fence || self.variant == Variant::SettleIgnoresTheFence)
        })
    }

    /// Whether a transaction holds the lock of a session's queue.
    pub(crate) fn locked(&self, state: &State, session: usize) -> bool {
        state.processes.iter().any(|process| self.locks(process) == Some(session))
    }

    fn locks(&self, process: &Process) -> Option<usize> {
        match process.worker {
            Worker::Claiming { session, .. } => Some(session),
            Worker::Settling { run, saw_more: None } => Some(self.session(run.lease.event)),
            Worker::Settling { .. } | Worker::Running(_) | Worker::Idle => None,
        }
    }
}
