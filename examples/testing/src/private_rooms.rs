//! Which rooms have a lobby.

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{LobbyType, MeetingSettings, SettingsProvider, SettingsRequest};

/// Gives private meetings a lobby. A calendar knows which meetings are private.
#[derive(Debug)]
pub struct PrivateRooms<C>(pub C);

/// Knows the meetings. In the application this is an HTTP call or a query, in a test a fake.
#[async_trait]
pub trait Calendar: Send + Sync + 'static {
    /// Returns whether the meeting in this room is private.
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
