//! The tap's slot beside the application's handlers: it puts the event, without links, into the tap's inbox.
//!
//! It does not publish. The events of a session run one at a time, so a handler that waited for a broker would hold
//! back the application's handlers of the later events. After three failures the worker would let them pass, and the
//! broker would get the session out of order.

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::EventStore;
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerError, HandlerResult};

use crate::payload;

/// It is mounted as *plain*: after a crash it may run again, and the inbox recognizes the event by its key.
pub(crate) struct Forward<S> {
    inbox: S,
}

impl<S: EventStore> Forward<S> {
    pub(crate) fn to(inbox: S) -> Self {
        Self { inbox }
    }
}

#[async_trait]
impl<S: EventStore> EventHandler for Forward<S> {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let original = cx.delivery();
        let body = payload::without_links(original);
        let delivery = Delivery::parse(original.endpoint.clone(), original.received_at, body.into())
            .map_err(|unreadable| HandlerError::permanent(unreadable.reason))?
            .with_trace(original.trace.clone());
        // A duplicate is what a crash has made run again. A conflict is the same event as an earlier version of this
        // program has written it, and the first is kept.
        self.inbox.accept(delivery).await?;
        Ok(Handled::Done)
    }
}
