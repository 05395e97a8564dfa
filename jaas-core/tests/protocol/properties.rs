//! What holds in every state.

use stateright::{Model as _, Property};

use crate::protocol::model::Protocol;
use crate::protocol::state::{Event, Lease, Phase, Process, Queue, SESSIONS, State};

pub(crate) const ONE_ROW: &str = "G2: one row per key";
pub(crate) const EFFECTS_ONCE: &str = "G3: effects are committed once";
pub(crate) const STALE_REFUSED: &str = "G4: a stale settle is refused";
pub(crate) const ONE_HOLDER: &str = "G4: of a session one run can settle";
pub(crate) const LEASE_ONCE: &str = "G4: no lease is issued twice";
pub(crate) const CAUSE: &str = "G4: no crash is counted without a crash or a lost lease";
pub(crate) const ORDER: &str = "order: nothing is claimed while an earlier event waits";
pub(crate) const ONE_SUSPECT: &str = "suspects: one is claimed at a time";
pub(crate) const TURN: &str = "suspects: the turn belongs to a claimed suspect";
pub(crate) const CLEAN: &str = "suspects: their turn holds back no queue with a clean head";
pub(crate) const ROW: &str = "queue: a row exists exactly while an event waits";
pub(crate) const DUE: &str = "queue: unclaimed, it is due no later than something of it can run";
pub(crate) const VAIN: &str = "liveness: no claim is made in vain";
pub(crate) const FOREVER: &str = "liveness: no event waits forever";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_ROW, |_, state: &State| state.events.iter().all(|event| event.rows <= 1)),
        Property::always(EFFECTS_ONCE, |_, state: &State| state.events.iter().all(effects_once)),
        Property::always(STALE_REFUSED, |_, state: &State| !state.wrongs.stale_settle),
        Property::always(ONE_HOLDER, one_holder),
        Property::always(LEASE_ONCE, |_, state: &State| !state.wrongs.lease_again),
        Property::always(CAUSE, cause),
        Property::always(ORDER, |_, state: &State| !state.wrongs.order),
        Property::always(ONE_SUSPECT, |_, state: &State| {
            state.queues.iter().flatten().filter(|queue| runs_suspect(state, queue)).count() <= 1
        }),
        Property::always(TURN, |_, state: &State| {
            state.queues.iter().flatten().all(|queue| !queue.turn || runs_suspect(state, queue))
        }),
        Property::always(CLEAN, |model: &Protocol, state: &State| {
            (0..SESSIONS).all(|session| clean_is_let_through(model, state, session))
        }),
        Property::always(ROW, |model: &Protocol, state: &State| {
            (0..SESSIONS).all(|session| {
                state.queues[session].is_some() == model.waiting(state, session).next().is_some()
            })
        }),
        Property::always(DUE, |model: &Protocol, state: &State| {
            (0..SESSIONS).all(|session| in_time(model, state, session))
        }),
        Property::always(VAIN, |_, state: &State| !state.wrongs.vain_claim),
        Property::always(FOREVER, goes_on),
    ]
}

fn effects_once(event: &Event) -> bool {
    event.effects <= 1 && (event.phase != Phase::Done || event.effects == 1)
}

fn one_holder(model: &Protocol, state: &State) -> bool {
    let leases = |process: &Process| process.worker.run().map(|run| run.lease);
    let honoured = |lease: &Lease| model.honours(state, *lease);
    (0..SESSIONS).all(|session| {
        let of_session = |lease: &Lease| model.session(lease.event) == session;
        state.processes.iter().filter_map(leases).filter(of_session).filter(honoured).count() <= 1
    })
}

fn cause(model: &Protocol, state: &State) -> bool {
    let (all, left) = (model.bounds.left, state.left);
    let causes = (all.crashes - left.crashes) + (all.expiries - left.expiries);
    state.events.iter().map(|event| event.crashes).sum::<u8>() <= causes
}

fn runs_suspect(state: &State, queue: &Queue) -> bool {
    queue.running.is_some_and(|lease| state.events[lease.event].crashes > 0)
}

fn clean_is_let_through(model: &Protocol, state: &State, session: usize) -> bool {
    // A passed event is left out: whether it is the head depends on the time, and a mark does not.
    let clean = |event: &usize| state.events[*event].crashes == 0 && !state.events[*event].passed;
    let due = state.queues[session].filter(|queue| queue.running.is_none() && queue.due == 0);
    match (due, model.runnable(state, session).filter(clean)) {
        (Some(queue), Some(_)) => model.spares(state, &queue),
        _ => true,
    }
}

/// Lets time pass until the queue is due, and checks that no event of it could have run before.
fn in_time(model: &Protocol, state: &State, session: usize) -> bool {
    let Some(queue) = state.queues[session].filter(|queue| queue.running.is_none()) else { return true };
    let mut later = *state;
    (0..queue.due).all(|_| {
        let early = model.runnable(&later, session).is_some();
        model.tick(&mut later);
        !early
    })
}

/// Something can happen, or nothing is left to do. The walk shows that every path is finite, so every path ends with
/// nothing left to do.
fn goes_on(model: &Protocol, state: &State) -> bool {
    let idle = state.processes.iter().all(|process| *process == Process::default());
    let waits = state.events.iter().any(|event| event.phase == Phase::Waiting);
    if idle && !waits {
        return true;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    !actions.is_empty()
}
