//! What happens when a meeting has ended.

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::meetings::Sitting;
use jaas_diesel::meetings::MeetingEnded;
use jaas_diesel::sqlite::Connection;

/// Here: a line in the log. In an application: rows for mails to send, written through `tx`, so that they exist once for each
/// meeting whatever crashes.
pub(crate) struct Ended;

#[async_trait]
impl MeetingEnded<Connection> for Ended {
    async fn meeting_ended(&self, _tx: &mut Connection, sitting: &Sitting) -> Result<(), HandlerError> {
        tracing::info!(session = %sitting.session, ended_at = ?sitting.ended_at, "a meeting has ended");
        Ok(())
    }
}
