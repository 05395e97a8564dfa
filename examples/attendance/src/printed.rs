//! One line on standard output for each event.

use std::io::Write as _;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::telemetry::Escaped;
use jaas_core::{Context, EventHandler, Handled, HandlerResult};

/// A second handler, which writes nothing to the database and so is mounted as *plain*.
pub(crate) struct Printed;

#[async_trait]
impl EventHandler for Printed {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let (envelope, attempt) = (cx.envelope(), cx.attempt());
        // Type and key are text of others, so they are escaped.
        writeln!(
            std::io::stdout(),
            "handled {} {} attempt={attempt}",
            Escaped(&envelope.event_type),
            Escaped(&envelope.idempotency_key)
        )?;
        Ok(Handled::Done)
    }
}
