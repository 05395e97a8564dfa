//! Which rooms have a lobby.

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{LobbyType, MeetingSettings, SettingsProvider, SettingsRequest};

/// Gives private meetings a lobby. Which are private it asks a calendar.
#[derive(Debug)]
pub struct PrivateRooms<C>(pub C);

/// Knows the meetings: for the application an HTTP call or a query, for a test whatever it needs.
#[async_trait]
pub trait Calendar: Send + Sync + 'static {
    /// Whether the meeting in this room is private.
    ///
    /// # Errors
    /// When the calendar cannot be asked.
    async fn is_private(&self, room: &str) -> Result<bool, std::io::Error>;
}

#[async_trait]
impl<C: Calendar> SettingsProvider for PrivateRooms<C> {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        if !self.0.is_private(&request.room_key()).await? {
            return Ok(MeetingSettings::default());
        }
        Ok(MeetingSettings::builder().lobby_enabled(true).lobby_type(LobbyType::WaitForModerator).build()?)
    }
}
