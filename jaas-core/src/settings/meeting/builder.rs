//! Building settings.

use serde_json::Value;

use super::{MeetingSettings, Values};
use crate::private::Personal;
use crate::settings::error::SettingsError;
use crate::settings::value::{HideDisplayName, LobbyType, MaxOccupants, Passcode, Transcriber};

/// Builds [`MeetingSettings`]. An unset value is omitted from the answer, and JaaS uses its default.
/// [`build`](Self::build) reports the first value that is not allowed.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MeetingSettingsBuilder {
    values: Values,
    error: Option<SettingsError>,
}

impl MeetingSettingsBuilder {
    /// `lobbyEnabled`: whether only moderators join directly, and others wait in the lobby until a moderator admits
    /// them (documented). A meeting without a moderator stays empty.
    pub fn lobby_enabled(mut self, enabled: bool) -> Self {
        self.values.lobby_enabled = Some(enabled);
        self
    }

    /// `lobbyType`. Needs [`lobby_enabled(true)`](Self::lobby_enabled).
    pub fn lobby_type(mut self, kind: LobbyType) -> Self {
        self.values.lobby_type = Some(kind);
        self
    }

    /// `passcode`: the digits of a [`Passcode`].
    pub fn passcode(mut self, digits: impl Into<String>) -> Self {
        match Passcode::new(digits) {
            Ok(passcode) => self.values.passcode = Some(passcode),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// `maxOccupants`: 2 to 500 (documented). Moderators count, and are kept out too when the meeting is full (seen).
    pub fn max_occupants(mut self, participants: u32) -> Self {
        match MaxOccupants::new(participants.into()) {
            Ok(participants) => self.values.max_occupants = Some(participants),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// `participantsSoftLimit`: beyond this number, participants join as visitors. Needs
    /// [`visitors_enabled(true)`](Self::visitors_enabled).
    pub fn participants_soft_limit(mut self, participants: u32) -> Self {
        self.values.participants_soft_limit = Some(participants);
        self
    }

    /// `visitorsEnabled`: whether people may join who only watch and listen.
    pub fn visitors_enabled(mut self, enabled: bool) -> Self {
        self.values.visitors_enabled = Some(enabled);
        self
    }

    /// `visitorsLive`: whether visitors enter immediately; JaaS takes it for `true` when absent (seen). Needs
    /// [`visitors_enabled(true)`](Self::visitors_enabled).
    pub fn visitors_live(mut self, live: bool) -> Self {
        self.values.visitors_live = Some(live);
        self
    }

    /// `transcriber` and `transcriberType`, two documented names of one setting; the answer contains both.
    pub fn transcriber(mut self, transcriber: impl Into<Transcriber>) -> Self {
        self.values.transcriber = Some(transcriber.into());
        self
    }

    /// `autoTranscriptions` (seen).
    pub fn auto_transcriptions(mut self, on: bool) -> Self {
        self.values.auto_transcriptions = Some(on);
        self
    }

    /// `asyncTranscriptions` (seen).
    pub fn async_transcriptions(mut self, on: bool) -> Self {
        self.values.async_transcriptions = Some(on);
        self
    }

    /// `autoAudioRecording` (seen).
    pub fn auto_audio_recording(mut self, on: bool) -> Self {
        self.values.auto_audio_recording = Some(on);
        self
    }

    /// `autoVideoRecording` (seen).
    pub fn auto_video_recording(mut self, on: bool) -> Self {
        self.values.auto_video_recording = Some(on);
        self
    }

    /// `hideDisplayName` (documented).
    pub fn hide_display_name(mut self, whose: impl Into<HideDisplayName>) -> Self {
        self.values.hide_display_name = Some(whose.into());
        self
    }

    /// `outboundPhoneNo` (seen).
    pub fn outbound_phone_no(mut self, number: impl Into<String>) -> Self {
        self.values.outbound_phone_no = Some(Personal::new(number));
        self
    }

    /// A key that this version does not know. JaaS also tolerates unknown keys (seen).
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Err(error) = self.values.insert_extra(key.into(), value.into()) {
            self.error = self.error.or(Some(error));
        }
        self
    }

    /// Checks all values together.
    ///
    /// # Errors
    /// When a value is not allowed, or two contradict each other.
    pub fn build(self) -> Result<MeetingSettings, SettingsError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.values.check()?;
        Ok(MeetingSettings { values: self.values, decided_by: None })
    }
}
