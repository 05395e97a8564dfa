//! The question that JaaS asks before each meeting, `SETTINGS_PROVISIONING`, and its answer: lobby, passcode, limits.
//!
//! It is a question, not an event: the answer is the HTTP response. The meeting server waits about 3 s in total and
//! then opens the room *without* passcode or lobby; any status but 200 has the same effect (seen in the sender's
//! published source). So this hook fails open by nature. This module prevents it from doing so by accident:
//!
//! - [`MeetingSettings`] cannot hold what JaaS would drop, such as a passcode with a letter in it.
//! - [`SettingsService`] asks your [`SettingsProvider`] under a hard timeout. When the provider fails, a
//!   [`FailurePolicy`], which you must choose, decides the answer.
//! - Each answer can leave a [`SettingsRecord`]: the answer, its source, and the reason.
//!
//! Pass the settings service to [`ReceiverBuilder::settings`](crate::ReceiverBuilder::settings). Ready-made providers:
//! [`Fixed`], [`RoomRules`] (a file of room patterns), [`chain`], [`Cached`]; `jaas-diesel` has a table.

mod cache;
mod error;
mod flight;
mod meeting;
mod policy;
mod provider;
mod recent;
mod record;
mod recorder;
mod request;
mod rules;
mod service;
mod value;

pub use self::cache::Cached;
pub use self::error::{SettingsError, SettingsErrorKind};
pub use self::meeting::{MeetingSettings, MeetingSettingsBuilder};
pub use self::policy::FailurePolicy;
pub use self::provider::{Chain, Fixed, NoSettingsForRoom, SettingsProvider, chain};
pub use self::record::{SettingsFailure, SettingsLog, SettingsQuery, SettingsRecord, SettingsSource};
pub use self::request::{EVENT_TYPE, SettingsRequest, SettingsRequestError};
pub(crate) use self::request::{asked_about, is_question};
pub use self::rules::{RoomRules, RulesError, RulesErrorKind};
pub use self::service::{SettingsService, SettingsServiceBuilder};
pub use self::value::{HideDisplayName, LobbyType, Passcode, Transcriber};
