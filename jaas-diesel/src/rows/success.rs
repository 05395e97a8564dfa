//! A success: what is recorded when handlers have succeeded.

use std::sync::Arc;

use jaas_core::Handled;
use jaas_core::store::{Completion, Lease, NextClaim, Step};

use super::column::text;
use super::queue::QueueRow;

/// A success to record: handlers of a session's events have succeeded.
#[derive(Debug, Clone)]
pub(crate) struct Success {
    /// The lease under which they ran.
    pub(crate) lease: Lease,
    pub(crate) of: SuccessOf,
    /// How to claim the session's next event once the claimed event is settled.
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

    /// The events that this settles.
    pub(crate) fn events(&self) -> &[Completion] {
        match &self.of {
            SuccessOf::Handler(..) => &[],
            SuccessOf::Events(events) => events,
        }
    }

    /// Whether this settles the claimed event.
    pub(crate) fn ends(&self) -> bool {
        self.events().iter().any(|event| event.lease == self.lease)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum SuccessOf {
    /// One handler succeeded, and the event has more handlers.
    Handler(Arc<str>, Handled),
    /// All handlers of these events succeeded.
    Events(Vec<Completion>),
}

/// An event to settle: as done, or as ignored if every handler ignored it.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: i64,
    pub(crate) fence: i64,
    /// The fence that the row must have, if the event is behind the claimed one. With another fence the row was claimed
    /// meanwhile.
    pub(crate) behind: Option<i64>,
    pub(crate) ordering_key: String,
    pub(crate) worker: Option<String>,
    /// The handlers that did not ignore it, each name followed by a line feed.
    pub(crate) handlers: String,
    /// Why it was ignored, if all of these handlers ignored it. It is ignored only if no earlier handler is done, too.
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

/// The handlers that did not ignore the event, each name followed by a line feed; and why it was ignored, if
/// all of these did.
pub(crate) fn handlers_and_reason(completion: &Completion) -> (String, Option<String>) {
    let mut handlers = String::new();
    let mut reason = None;
    for (handler, handled) in &completion.handled {
        match handled {
            Handled::Ignored(why) => reason = Some(text(why)),
            _ => handlers.push_str(&line(handler)),
        }
    }
    let reason = reason.filter(|_| handlers.is_empty());
    (handlers, reason)
}

/// The name of a handler as the column `completed` holds it.
pub(crate) fn line(handler: &str) -> String {
    format!("{}\n", text(handler))
}
