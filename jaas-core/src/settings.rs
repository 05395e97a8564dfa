//! The question JaaS asks before each meeting, `SETTINGS_PROVISIONING`, and its answer: lobby, passcode, limits.
//!
//! It is a question and no event: the answer is the HTTP response. The meeting server waits about 3 s in all and then
//! opens the room *without* passcode or lobby; any status but 200 does the same (seen in the sender's published
//! source). So this hook fails open by nature. Here it cannot do so by accident:
//!
//! - [`MeetingSettings`] cannot hold what JaaS would drop, such as a passcode with a letter in it.

mod error;
mod meeting;
mod provider;
mod request;
mod value;

pub use self::error::{SettingsError, SettingsErrorKind};
pub use self::meeting::{MeetingSettings, MeetingSettingsBuilder};
pub use self::provider::{Chain, Fixed, NoSettings, SettingsProvider, chain};
pub use self::request::{EVENT_TYPE, NotAQuestion, SettingsRequest};
pub use self::value::{HideDisplayName, LobbyType, MaxOccupants, Passcode, Transcriber};
