//! Leaves out rooms that are only for tests.

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::{Context, EventHandler, Handled, HandlerResult};

/// Passes events to another handler, except those of rooms whose name begins with `test-`.
#[derive(Debug)]
pub struct WithoutTestRooms<H>(pub H);

#[async_trait]
impl<H: EventHandler> EventHandler for WithoutTestRooms<H> {
    async fn any_event(&self, cx: &mut Context<'_>, event: &Event) -> HandlerResult {
        if cx.envelope().fqn.room_key().starts_with("test-") {
            return Ok(Handled::ignored("a room for tests"));
        }
        self.0.any_event(cx, event).await
    }
}
