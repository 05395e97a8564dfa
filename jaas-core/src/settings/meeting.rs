//! The answer to a settings question.

mod builder;
#[cfg(test)]
mod tests;
mod written;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use self::builder::MeetingSettingsBuilder;
use super::error::{SettingsError, SettingsErrorKind};
use super::value::{HideDisplayName, LobbyType, MaxOccupants, Passcode, Transcriber};
use crate::private::Personal;

/// The settings with which a meeting starts: the answer to the question that JaaS asks before each meeting.
///
/// It cannot hold what JaaS would misread: `build` checks values and refuses combinations that contradict each other.
/// An unset value is absent from the answer, and JaaS uses its default; with nothing set the meeting opens to everyone.
///
/// `Deserialize` makes the same checks, and refuses unknown keys, because a misspelt `lobbyEnabled` would open the
/// room. Keys that this version does not know go under `extra`, and appear beside the others in the answer.
///
/// ```
/// use jaas_core::settings::{LobbyType, MeetingSettings, Transcriber};
///
/// let settings = MeetingSettings::builder()
///     .lobby_enabled(true)
///     .lobby_type(LobbyType::WaitForApproval)
///     .passcode("0000")
///     .max_occupants(4)
///     .transcriber(Transcriber::EghtWhisper)
///     .build()?;
/// let answer: serde_json::Value = serde_json::from_str(&settings.to_answer())?;
/// assert_eq!(answer["passcode"], "0000");
/// assert_eq!(answer["transcriberType"], "EGHT_WHISPER");
///
/// let error = MeetingSettings::builder().lobby_type(LobbyType::WaitForModerator).build().unwrap_err();
/// assert!(error.to_string().contains("lobbyEnabled"));
///
/// let read: MeetingSettings = serde_json::from_str(r#"{"visitorsEnabled":true,"extra":{"newKey":1}}"#)?;
/// assert_eq!(read.to_answer(), r#"{"newKey":1,"visitorsEnabled":true}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MeetingSettings {
    values: Values,
    decided_by: Option<Arc<str>>,
}

#[derive(Clone, Default, PartialEq)]
struct Values {
    lobby_enabled: Option<bool>,
    lobby_type: Option<LobbyType>,
    passcode: Option<Passcode>,
    max_occupants: Option<MaxOccupants>,
    participants_soft_limit: Option<u32>,
    visitors_enabled: Option<bool>,
    visitors_live: Option<bool>,
    transcriber: Option<Transcriber>,
    auto_transcriptions: Option<bool>,
    async_transcriptions: Option<bool>,
    auto_audio_recording: Option<bool>,
    auto_video_recording: Option<bool>,
    hide_display_name: Option<HideDisplayName>,
    outbound_phone_no: Option<Personal>,
    extra: Map<String, Value>,
}

/// Every key of an answer that has its own field.
const KEYS: [&str; 15] = [
    "lobbyEnabled",
    "lobbyType",
    "passcode",
    "maxOccupants",
    "participantsSoftLimit",
    "visitorsEnabled",
    "visitorsLive",
    "transcriber",
    "transcriberType",
    "autoTranscriptions",
    "asyncTranscriptions",
    "autoAudioRecording",
    "autoVideoRecording",
    "hideDisplayName",
    "outboundPhoneNo",
];

impl MeetingSettings {
    /// Starts with nothing set.
    pub fn builder() -> MeetingSettingsBuilder {
        MeetingSettingsBuilder::default()
    }

    /// Returns the settings of a room that is closed because its settings are not known.
    pub(super) fn closed(lobby_type: LobbyType, passcode: Passcode) -> Self {
        let values = Values {
            lobby_enabled: Some(true),
            lobby_type: Some(lobby_type),
            passcode: Some(passcode),
            ..Values::default()
        };
        Self { values, decided_by: None }
    }

    /// Parses settings from JSON, as `Deserialize` does.
    ///
    /// # Errors
    /// When it is not JSON, has an unknown key, a value that is not allowed, or a contradiction. The message names line
    /// and column.
    pub fn from_json(json: &str) -> Result<Self, SettingsError> {
        serde_json::from_str(json)
            .map_err(|error| SettingsError::new(SettingsErrorKind::Shape, error.to_string()))
    }

    /// Returns the JSON of the answer to JaaS. It holds the passcode.
    pub fn to_answer(&self) -> String {
        self.answer(Shown::All)
    }

    /// Returns the same JSON with passcode and phone number replaced by `…`, to store or show.
    pub fn to_hidden(&self) -> String {
        self.answer(Shown::WithoutSecrets)
    }

    fn answer(&self, shown: Shown) -> String {
        let values = &self.values;
        let secret = |text: &str| Value::from(if shown == Shown::All { text } else { "…" });
        let transcriber = values.transcriber.as_ref().map(|word| Value::from(word.as_str()));
        let known = [
            ("lobbyEnabled", values.lobby_enabled.map(Value::from)),
            ("lobbyType", values.lobby_type.map(|kind| Value::from(kind.as_str()))),
            ("passcode", values.passcode.as_ref().map(|passcode| secret(passcode.expose()))),
            ("maxOccupants", values.max_occupants.map(|most| Value::from(most.get()))),
            ("participantsSoftLimit", values.participants_soft_limit.map(Value::from)),
            ("visitorsEnabled", values.visitors_enabled.map(Value::from)),
            ("visitorsLive", values.visitors_live.map(Value::from)),
            // Both names are documented, one in the older text and one in the current one.
            ("transcriber", transcriber.clone()),
            ("transcriberType", transcriber),
            ("autoTranscriptions", values.auto_transcriptions.map(Value::from)),
            ("asyncTranscriptions", values.async_transcriptions.map(Value::from)),
            ("autoAudioRecording", values.auto_audio_recording.map(Value::from)),
            ("autoVideoRecording", values.auto_video_recording.map(Value::from)),
            ("hideDisplayName", values.hide_display_name.as_ref().map(|whose| Value::from(whose.as_str()))),
            ("outboundPhoneNo", values.outbound_phone_no.as_ref().map(|number| secret(number.expose()))),
        ];
        let mut answer = values.extra.clone();
        answer.extend(known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Value::Object(answer).to_string()
    }

    /// Notes what decided on these settings, such as a rule. The note is stored in the record of the answer and is not
    /// part of it.
    #[must_use]
    pub fn with_decided_by(mut self, what: impl Into<Arc<str>>) -> Self {
        self.decided_by = Some(what.into());
        self
    }

    /// What decided on these settings, if that was noted.
    pub fn decided_by(&self) -> Option<&str> {
        self.decided_by.as_deref()
    }

    /// Adds a key that this version does not know to the answer.
    ///
    /// # Errors
    /// When the key is empty or has its own method in the builder.
    pub fn with_extra(
        mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, SettingsError> {
        self.values.insert_extra(key.into(), value.into())?;
        Ok(self)
    }

    /// `lobbyEnabled`: whether only moderators join directly, and others wait in the lobby.
    pub fn lobby_enabled(&self) -> Option<bool> {
        self.values.lobby_enabled
    }

    /// `lobbyType`.
    pub fn lobby_type(&self) -> Option<LobbyType> {
        self.values.lobby_type
    }

    /// `passcode`.
    pub fn passcode(&self) -> Option<&Passcode> {
        self.values.passcode.as_ref()
    }

    /// `maxOccupants`.
    pub fn max_occupants(&self) -> Option<u16> {
        self.values.max_occupants.map(MaxOccupants::get)
    }

    /// `participantsSoftLimit`: beyond this number, participants join as visitors.
    pub fn participants_soft_limit(&self) -> Option<u32> {
        self.values.participants_soft_limit
    }

    /// `visitorsEnabled`.
    pub fn visitors_enabled(&self) -> Option<bool> {
        self.values.visitors_enabled
    }

    /// `visitorsLive`; JaaS takes it for `true` when absent (seen).
    pub fn visitors_live(&self) -> Option<bool> {
        self.values.visitors_live
    }

    /// `transcriber` and `transcriberType`.
    pub fn transcriber(&self) -> Option<&Transcriber> {
        self.values.transcriber.as_ref()
    }

    /// `autoTranscriptions`.
    pub fn auto_transcriptions(&self) -> Option<bool> {
        self.values.auto_transcriptions
    }

    /// `asyncTranscriptions`.
    pub fn async_transcriptions(&self) -> Option<bool> {
        self.values.async_transcriptions
    }

    /// `autoAudioRecording`.
    pub fn auto_audio_recording(&self) -> Option<bool> {
        self.values.auto_audio_recording
    }

    /// `autoVideoRecording`.
    pub fn auto_video_recording(&self) -> Option<bool> {
        self.values.auto_video_recording
    }

    /// `hideDisplayName`.
    pub fn hide_display_name(&self) -> Option<&HideDisplayName> {
        self.values.hide_display_name.as_ref()
    }

    /// `outboundPhoneNo`.
    pub fn outbound_phone_no(&self) -> Option<&Personal> {
        self.values.outbound_phone_no.as_ref()
    }

    /// The keys other than those above.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.values.extra
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    WithoutSecrets,
}

/// Compares the answers.
impl PartialEq for MeetingSettings {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

/// Shows the values that are set, without passcode and phone number, and only the names of extra keys.
impl fmt::Debug for MeetingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = &self.values;
        let mut shown = f.debug_struct("MeetingSettings");
        macro_rules! fields {
            ($($field:ident)*) => {$(
                if let Some(value) = &values.$field {
                    shown.field(stringify!($field), value);
                }
            )*};
        }
        fields! {
            lobby_enabled lobby_type passcode max_occupants participants_soft_limit visitors_enabled visitors_live
            transcriber auto_transcriptions async_transcriptions auto_audio_recording auto_video_recording
            hide_display_name outbound_phone_no
        }
        if !values.extra.is_empty() {
            shown.field("extra", &values.extra.keys().collect::<Vec<_>>());
        }
        shown.finish()
    }
}

impl Values {
    fn insert_extra(&mut self, key: String, value: Value) -> Result<(), SettingsError> {
        let wrong = |message| Err(SettingsError::new(SettingsErrorKind::ExtraKey, message));
        if key.is_empty() {
            return wrong("an extra key is empty; name it".to_owned());
        }
        if KEYS.contains(&&*key) {
            return wrong(format!(
                "{key} cannot be an extra key, because it would not be checked; use its own setting"
            ));
        }
        self.extra.insert(key, value);
        Ok(())
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |kind, message: &str| Err(SettingsError::new(kind, message));
        if self.lobby_type.is_some() && self.lobby_enabled != Some(true) {
            return wrong(
                SettingsErrorKind::Contradiction,
                "lobbyType is set and lobbyEnabled is not true, so there would be no lobby; set lobbyEnabled to true, or \
                 leave lobbyType out",
            );
        }
        if self.participants_soft_limit.is_some() && self.visitors_enabled != Some(true) {
            return wrong(
                SettingsErrorKind::Contradiction,
                "participantsSoftLimit is set and visitorsEnabled is not true, so no one could join beyond it; set \
                 visitorsEnabled to true, or limit with maxOccupants",
            );
        }
        if self.visitors_live.is_some() && self.visitors_enabled != Some(true) {
            return wrong(
                SettingsErrorKind::Contradiction,
                "visitorsLive is set and visitorsEnabled is not true, so there would be no visitors; set visitorsEnabled \
                 to true, or leave visitorsLive out",
            );
        }
        if self.participants_soft_limit == Some(0) {
            return wrong(SettingsErrorKind::SoftLimit, "participantsSoftLimit is 0, and must be at least 1");
        }
        if self.transcriber.as_ref().is_some_and(|word| word.as_str().is_empty()) {
            return wrong(
                SettingsErrorKind::Word,
                "transcriber is empty; use GOOGLE, ORACLE_CLOUD_AI_SPEECH, EGHT_WHISPER or a newer word",
            );
        }
        if self.hide_display_name.as_ref().is_some_and(|word| word.as_str().is_empty()) {
            return wrong(SettingsErrorKind::Word, "hideDisplayName is empty; use GUEST or a newer word");
        }
        Ok(())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MeetingSettings { values: self.clone(), decided_by: None }.fmt(f)
    }
}
