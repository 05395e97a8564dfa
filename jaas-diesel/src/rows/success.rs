//! What is recorded of handlers that have run well.

use std::sync::Arc;

use jaas_core::Handled;
use jaas_core::store::{Completion, Lease, NextClaim, Step};

use super::column::text;
use super::queue::QueueRow;

/// A success to record: handlers of a session's events have run well.
#[derive(Debug, Clone)]
pub(crate) struct Success {
    /// The claim.
    pub(crate) lease: Lease,
    pub(crate) of: SuccessOf,
    /// How to go on in the session when the event that is claimed is settled.
    pub(crate) next: Option<NextClaim>,
}

impl Success {
    pub(crate) fn new(lease: Lease, step: &Step, handled: &Handled) -> Self {
        let (handler, handled) = (step.handler.clone(), handled.clone());
        let of = if step.last {
            SuccessOf::Events(vec![Completion { lease, handled: vec![(handler, handled)] }])
        } else {
            SuccessOf::Handler(handler, handled)
        };
        Self { lease, of, next: step.next }
    }

    pub(crate) fn of_all(lease: Lease, completions: &[Completion], next: Option<NextClaim>) -> Self {
        Self { lease, of: SuccessOf::Events(completions.to_vec()), next }
    }

    /// The events that are settled.
    pub(crate) fn events(&self) -> &[Completion] {
        match &self.of {
            SuccessOf::Handler(..) => &[],
            SuccessOf::Events(events) => events,
        }
    }

    /// Whether the event that is claimed is settled.
    pub(crate) fn ends(&self) -> bool {
        self.events().iter().any(|event| event.lease == self.lease)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum SuccessOf {
    /// Of a handler that is not the event's last.
    Handler(Arc<str>, Handled),
    /// Of all handlers of these events.
    Events(Vec<Completion>),
}

/// An event to be settled as done, or as ignored when no handler did anything.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: i64,
    pub(crate) fence: i64,
    /// Its fence until now, if the event is behind the claimed one: with another fence it is not the event that ran.
    pub(crate) behind: Option<i64>,
    pub(crate) ordering_key: String,
    pub(crate) worker: Option<String>,
    /// The handlers that did something, each ended by a line feed.
    pub(crate) handlers: String,
    /// Why it was ignored, if no handler did anything.
    pub(crate) reason: Option<String>,
}

impl Settled {
    /// An event of the queue in which `held` runs.
    pub(crate) fn new(completion: &Completion, held: Lease, queue: &QueueRow) -> Self {
        let Lease { event, fence } = completion.lease;
        let (handlers, reason) = handlers_and_reason(completion);
        Self {
            id: event.get(),
            fence,
            behind: (completion.lease != held).then_some(fence - 1),
            ordering_key: queue.ordering_key.clone(),
            worker: queue.worker.clone(),
            handlers,
            reason,
        }
    }
}

/// The handlers that did something, each ended by a line feed, and why the event was ignored if none did.
pub(crate) fn handlers_and_reason(completion: &Completion) -> (String, Option<String>) {
    let mut handlers = String::new();
    let mut reason = None;
    for (handler, handled) in &completion.handled {
        match handled {
            Handled::Ignored(why) => reason = Some(text(why)),
            _ => handlers.push_str(&line(handler)),
        }
    }
    (handlers.clone(), reason.filter(|_| handlers.is_empty()))
}

/// A handler's name as the column of those that are done has it.
pub(crate) fn line(handler: &str) -> String {
    format!("{}\n", text(handler))
}
