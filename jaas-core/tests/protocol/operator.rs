//! Operators: replay and discard, each under the lock of the queue.

use crate::protocol::action::Action;
use crate::protocol::model::Protocol;
use crate::protocol::state::{EVENTS, Event, Phase, State};
use crate::protocol::variant::Variant;

impl Protocol {
    pub(crate) fn operator_steps(&self, state: &State, actions: &mut Vec<Action>) {
        for event in (0..EVENTS).filter(|event| !self.locked(state, self.session(*event))) {
            let running = state.queues[self.session(event)].and_then(|queue| queue.running);
            let runs = running.is_some_and(|lease| lease.event == event);
            match state.events[event].phase {
                Phase::Done | Phase::Dead | Phase::Discarded if state.left.replays > 0 => {
                    actions.push(Action::Replay { event });
                }
                Phase::Waiting if state.left.discards > 0 && !runs => actions.push(Action::Discard { event }),
                _ => {}
            }
        }
    }

    pub(crate) fn replay(&self, state: &mut State, event: usize) {
        state.left.replays -= 1;
        let Event { rows, mut fence, issued, .. } = state.events[event];
        if self.variant == Variant::ReplayResetsTheFence {
            fence = 0;
        }
        state.events[event] = Event { rows, phase: Phase::Waiting, fence, issued, ..Event::default() };
        self.call(state, event);
        if self.variant == Variant::ReplayLowersTheClaimed
            && let Some(queue) = &mut state.queues[self.session(event)]
        {
            queue.expired |= queue.running.is_some();
        }
    }

    pub(crate) fn discard(&self, state: &mut State, event: usize) {
        state.left.discards -= 1;
        state.events[event].phase = Phase::Discarded;
        let session = self.session(event);
        let unclaimed = state.queues[session].is_some_and(|queue| queue.running.is_none());
        if unclaimed && self.variant != Variant::DiscardKeepsTheQueue {
            self.unclaim(state, session);
        }
    }
}
