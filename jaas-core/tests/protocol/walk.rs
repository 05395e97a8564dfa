//! A walk over every step of a model, for what a property of single states cannot express.

use std::collections::{BTreeSet, HashMap};

use stateright::Model as _;

use crate::protocol::action::Action;
use crate::protocol::model::Protocol;
use crate::protocol::state::State;

/// What a walk has seen.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) states: usize,
    /// The kinds of steps that were taken.
    pub(crate) kinds: BTreeSet<&'static str>,
    /// Steps that lead from some state back to itself.
    pub(crate) cycle: Option<Vec<Action>>,
}

/// A state on the path from the beginning, how it was reached, and the steps from it that are left to take.
struct Visit {
    state: State,
    by: Option<Action>,
    rest: Vec<Action>,
    number: usize,
}

/// Follows every path, depth first, until there are no more or one closes a cycle.
pub(crate) fn walk(model: &Protocol) -> Walk {
    let mut walk = Walk::default();
    // Whether a state that was seen is on the path to where the walk is now.
    let mut on_path = Vec::new();
    // The number of each state that was seen.
    let mut seen = HashMap::new();
    let mut path = Vec::new();
    for state in model.init_states() {
        seen.insert(state, on_path.len());
        path.push(visit(model, state, None, on_path.len()));
        on_path.push(true);
    }
    while let Some(last) = path.last_mut() {
        let Some(action) = last.rest.pop() else {
            on_path[last.number] = false;
            path.pop();
            continue;
        };
        walk.kinds.insert(action.kind());
        let Some(state) = model.next_state(&last.state, action) else { continue };
        let number = *seen.entry(state).or_insert(on_path.len());
        match on_path.get(number) {
            None => {
                on_path.push(true);
                path.push(visit(model, state, Some(action), number));
            }
            Some(false) => {}
            Some(true) => {
                let steps = path.iter().skip_while(|visit| visit.state != state).skip(1);
                walk.cycle = Some(steps.filter_map(|visit| visit.by).chain([action]).collect());
                break;
            }
        }
    }
    walk.states = seen.len();
    walk
}

fn visit(model: &Protocol, state: State, by: Option<Action>, number: usize) -> Visit {
    let mut rest = Vec::new();
    model.actions(&state, &mut rest);
    Visit { state, by, rest, number }
}
