//! The runs of a worker and the leases they hold.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;

use crate::store::Lease;

/// Identifies a run of one or more events of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RunId(u64);

#[derive(Debug)]
struct Running {
    lease: Lease,
    task: Option<AbortHandle>,
    /// Whether a handler has seen the event.
    begun: bool,
}

/// Which runs hold which leases. Clones share it: a run records the lease of each next event by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    runs: HashMap<RunId, Running>,
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insert, assignment or removal, so a panic leaves nothing half-done.
        self.0.lock()
    }

    pub(super) fn add(&self, lease: Lease) -> RunId {
        let mut state = self.state();
        state.last += 1;
        let id = RunId(state.last);
        state.runs.insert(id, Running { lease, task: None, begun: false });
        id
    }

    pub(super) fn started(&self, id: RunId, task: AbortHandle) {
        if let Some(run) = self.state().runs.get_mut(&id) {
            run.task = Some(task);
        }
    }

    /// The run continues with another event.
    pub(super) fn replace_lease(&self, id: RunId, lease: Lease) {
        if let Some(run) = self.state().runs.get_mut(&id) {
            run.lease = lease;
            run.begun = false;
        }
    }

    /// A handler is about to see the event of the run; returns whether it may.
    pub(super) fn begin(&self, id: RunId) -> bool {
        let mut state = self.state();
        let run = state.runs.get_mut(&id);
        run.is_some_and(|run| {
            run.begun = true;
            true
        })
    }

    /// Removes the runs whose event no handler has seen, ends their tasks, and returns their leases.
    pub(super) fn take_unbegun(&self) -> Vec<Lease> {
        let mut state = self.state();
        let unbegun = state.runs.extract_if(|_, run| !run.begun);
        unbegun
            .map(|(_, run)| {
                // It has not ended: it waits for a free handler slot, or for this lock.
                run.task.iter().for_each(AbortHandle::abort);
                run.lease
            })
            .collect()
    }

    pub(super) fn remove(&self, id: RunId) {
        self.state().runs.remove(&id);
    }

    pub(super) fn remove_task(&self, task: tokio::task::Id) {
        self.state().runs.retain(|_, run| run.task.as_ref().is_none_or(|known| known.id() != task));
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.state().runs.values().map(|run| run.lease).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.state().runs.len()
    }

    /// Whether a run that has not ended holds one of these leases.
    pub(super) fn any_runs(&self, leases: &[Lease]) -> bool {
        self.state().runs.values().any(|run| leases.contains(&run.lease) && !has_ended(run))
    }

    /// Removes the run that holds this lease; returns its task unless it has ended.
    pub(super) fn lose(&self, lease: Lease) -> Option<AbortHandle> {
        let mut state = self.state();
        let id =
            state.runs.iter().find(|(_, run)| run.lease == lease && !has_ended(run)).map(|(id, _)| *id)?;
        state.runs.remove(&id).and_then(|run| run.task)
    }
}

fn has_ended(run: &Running) -> bool {
    run.task.as_ref().is_some_and(AbortHandle::is_finished)
}
