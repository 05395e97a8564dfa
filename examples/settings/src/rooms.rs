//! The settings of each room. Put your own decision here: a query, a booking system, a call to another service.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{
    Fixed, LobbyType, MeetingSettings, NoSettingsForRoom, Passcode, RoomRules, RulesError, SettingsError,
    SettingsProvider, SettingsRequest, chain,
};

/// Rooms that end in `-vip`, and three that show how a provider can fail.
struct Vip {
    passcode: Passcode,
}

#[async_trait]
impl SettingsProvider for Vip {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        match &*request.room_key() {
            "slow" => {
                tokio::time::sleep(Duration::from_secs(10)).await;
                Ok(MeetingSettings::default())
            }
            "broken" => Err("the booking system is unavailable".into()),
            #[allow(clippy::panic)] // on purpose, to watch the policy
            "panics" => panic!("a bug in the provider"),
            room if room.ends_with("-vip") => {
                let settings = MeetingSettings::builder()
                    .lobby_enabled(true)
                    .lobby_type(LobbyType::WaitForApproval)
                    .passcode(self.passcode.expose())
                    .build()?;
                Ok(settings.with_decided_by("the name ends in -vip"))
            }
            // The chain asks the next provider.
            _ => Err(NoSettingsForRoom.into()),
        }
    }
}

/// Returns the chain of providers: the names above, then the file, or 50 occupants without a file.
pub(crate) fn provider(
    passcode: Passcode,
    file: Option<&Path>,
) -> Result<Box<dyn SettingsProvider>, Box<dyn std::error::Error>> {
    let vip = Vip { passcode };
    Ok(match file {
        Some(file) => Box::new(chain(vip, rules(file)?)),
        None => Box::new(chain(vip, Fixed::new(without_a_file()?))),
    })
}

fn rules(file: &Path) -> Result<RoomRules, RulesError> {
    RoomRules::read(file)
}

fn without_a_file() -> Result<MeetingSettings, SettingsError> {
    Ok(MeetingSettings::builder().max_occupants(50).build()?.with_decided_by("there is no file"))
}
