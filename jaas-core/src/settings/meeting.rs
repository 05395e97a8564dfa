//! The answer to a settings question.

use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::error::{SettingsError, SettingsErrorKind};
use super::value::{HideDisplayName, LobbyType, MaxOccupants, Passcode, Transcriber};
use crate::Personal;

/// What a meeting starts with: the answer JaaS asks for before each one.
///
/// It cannot hold what JaaS would misread: values are checked, and combinations that contradict each other are refused
/// when it is built. What is not set is absent from the answer, and JaaS does what it does without it; with nothing set
/// the meeting opens to everyone.
///
/// `Deserialize` checks the same, and refuses keys it does not know, because a misspelt `lobbyEnabled` would open the
/// room. Keys that this version does not know go under `extra`, and stand beside the others in the answer.
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
#[derive(Clone, Default, Serialize)]
#[serde(into = "Raw")]
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

/// Settings as they are written in a file or a database. Every key of the answer, and `extra` for those beyond.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    #[serde(skip_serializing_if = "Option::is_none")]
    lobby_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lobby_type: Option<LobbyType>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    passcode: Option<Passcode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_occupants: Option<MaxOccupants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    participants_soft_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_live: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcriber: Option<Transcriber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcriber_type: Option<Transcriber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_transcriptions: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    async_transcriptions: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_audio_recording: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_video_recording: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hide_display_name: Option<HideDisplayName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbound_phone_no: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
}

/// Every key of an answer that has a place of its own here.
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
        MeetingSettingsBuilder { values: Values::default(), error: None }
    }

    /// The settings of a room that is closed because its own are not known.
    pub(super) fn closed(lobby_type: LobbyType, passcode: Passcode) -> Self {
        let values = Values {
            lobby_enabled: Some(true),
            lobby_type: Some(lobby_type),
            passcode: Some(passcode),
            ..Values::default()
        };
        Self { values, decided_by: None }
    }

    /// Reads settings from JSON, as `Deserialize` does.
    ///
    /// # Errors
    /// When it is not JSON, has a key that is not known, a value that is not allowed, or a contradiction. The message
    /// names line and column.
    pub fn from_json(json: &str) -> Result<Self, SettingsError> {
        serde_json::from_str(json)
            .map_err(|error| SettingsError::new(SettingsErrorKind::Shape, error.to_string()))
    }

    /// The JSON that JaaS is answered. It holds the passcode.
    pub fn to_answer(&self) -> String {
        self.answer(Shown::All)
    }

    /// The same with passcode and phone number replaced by `…`, to be kept or shown.
    pub fn to_hidden(&self) -> String {
        self.answer(Shown::WithoutSecrets)
    }

    fn answer(&self, shown: Shown) -> String {
        let mut raw = Raw::from(self.clone());
        let extra = std::mem::take(&mut raw.extra);
        let hidden = |is_there: bool| (is_there && shown == Shown::WithoutSecrets).then(|| Value::from("…"));
        let hidden = [
            ("passcode", hidden(raw.passcode.is_some())),
            ("outboundPhoneNo", hidden(raw.outbound_phone_no.is_some())),
        ];
        let Ok(Value::Object(mut answer)) = serde_json::to_value(raw) else { return "{}".to_owned() };
        for (key, value) in hidden {
            if let Some(value) = value {
                answer.insert(key.to_owned(), value);
            }
        }
        answer.extend(extra);
        Value::Object(answer).to_string()
    }

    /// Notes what decided on these settings, such as a rule; it is kept in the record of the answer and is no part of
    /// it.
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
    /// When the key is empty or has a method of its own in the builder.
    pub fn with_extra(
        mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, SettingsError> {
        self.values.insert_extra(key.into(), value.into())?;
        Ok(self)
    }

    /// `lobbyEnabled`: whether only moderators join at once, and others wait in the lobby.
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
    pub fn max_occupants(&self) -> Option<MaxOccupants> {
        self.values.max_occupants
    }

    /// `participantsSoftLimit`: beyond so many, participants join as visitors.
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

    /// The keys beyond those above.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.values.extra
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    WithoutSecrets,
}

/// Compares what would be answered.
impl PartialEq for MeetingSettings {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

/// Shows what is set, without passcode and phone number, and of extra keys only their names.
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

impl From<MeetingSettings> for Raw {
    fn from(settings: MeetingSettings) -> Self {
        let values = settings.values;
        Self {
            lobby_enabled: values.lobby_enabled,
            lobby_type: values.lobby_type,
            passcode: values.passcode,
            max_occupants: values.max_occupants,
            participants_soft_limit: values.participants_soft_limit,
            visitors_enabled: values.visitors_enabled,
            visitors_live: values.visitors_live,
            // Both names are documented, one in the older text and one in today's.
            transcriber: values.transcriber.clone(),
            transcriber_type: values.transcriber,
            auto_transcriptions: values.auto_transcriptions,
            async_transcriptions: values.async_transcriptions,
            auto_audio_recording: values.auto_audio_recording,
            auto_video_recording: values.auto_video_recording,
            hide_display_name: values.hide_display_name,
            outbound_phone_no: values.outbound_phone_no.map(Personal::into_exposed),
            extra: values.extra,
        }
    }
}

impl TryFrom<Raw> for MeetingSettings {
    type Error = SettingsError;

    fn try_from(raw: Raw) -> Result<Self, SettingsError> {
        let transcriber = match (raw.transcriber, raw.transcriber_type) {
            (Some(one), Some(other)) if one != other => {
                let message = format!(
                    "transcriber is {one} and transcriberType {other}; they are two names of one setting, so give one of them"
                );
                return Err(SettingsError::new(SettingsErrorKind::Contradiction, message));
            }
            (one, other) => one.or(other),
        };
        let mut values = Values {
            lobby_enabled: raw.lobby_enabled,
            lobby_type: raw.lobby_type,
            passcode: raw.passcode,
            max_occupants: raw.max_occupants,
            participants_soft_limit: raw.participants_soft_limit,
            visitors_enabled: raw.visitors_enabled,
            visitors_live: raw.visitors_live,
            transcriber,
            auto_transcriptions: raw.auto_transcriptions,
            async_transcriptions: raw.async_transcriptions,
            auto_audio_recording: raw.auto_audio_recording,
            auto_video_recording: raw.auto_video_recording,
            hide_display_name: raw.hide_display_name,
            outbound_phone_no: raw.outbound_phone_no.map(Personal::new),
            extra: Map::new(),
        };
        for (key, value) in raw.extra {
            values.insert_extra(key, value)?;
        }
        values.check()?;
        Ok(Self { values, decided_by: None })
    }
}

impl<'de> Deserialize<'de> for MeetingSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        // Serde's own code for a struct would take a list for the values in their order, too.
        impl<'de> Visitor<'de> for Object {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of meeting settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Raw, A::Error> {
                Raw::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Object)?.try_into().map_err(de::Error::custom)
    }
}

fn exposed<S: serde::Serializer>(passcode: &Option<Passcode>, serializer: S) -> Result<S::Ok, S::Error> {
    passcode.as_ref().map(Passcode::expose).serialize(serializer)
}

impl Values {
    fn insert_extra(&mut self, key: String, value: Value) -> Result<(), SettingsError> {
        let wrong = |message| Err(SettingsError::new(SettingsErrorKind::ExtraKey, message));
        if key.is_empty() {
            return wrong("an extra key is empty; give it a name".to_owned());
        }
        if KEYS.contains(&&*key) {
            return wrong(format!(
                "{key} cannot be an extra key, because it would not be checked; set it as itself"
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
                "participantsSoftLimit is set and visitorsEnabled is not true, so nobody could join beyond it; set \
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
                "transcriber is empty; it is GOOGLE, ORACLE_CLOUD_AI_SPEECH, EGHT_WHISPER or a newer word",
            );
        }
        if self.hide_display_name.as_ref().is_some_and(|word| word.as_str().is_empty()) {
            return wrong(SettingsErrorKind::Word, "hideDisplayName is empty; it is GUEST or a newer word");
        }
        Ok(())
    }
}

/// Builds [`MeetingSettings`]. The first value that is not allowed is told by [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct MeetingSettingsBuilder {
    values: Values,
    error: Option<SettingsError>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MeetingSettings { values: self.clone(), decided_by: None }.fmt(f)
    }
}

impl MeetingSettingsBuilder {
    /// `lobbyEnabled`: whether only moderators join at once, and others wait in the lobby until one of them lets them
    /// in (documented). A meeting without a moderator stays empty.
    pub fn lobby_enabled(mut self, enabled: bool) -> Self {
        self.values.lobby_enabled = Some(enabled);
        self
    }

    /// `lobbyType`. Needs [`lobby_enabled(true)`](Self::lobby_enabled).
    pub fn lobby_type(mut self, kind: LobbyType) -> Self {
        self.values.lobby_type = Some(kind);
        self
    }

    /// `passcode`: a [`Passcode`], or its digits.
    pub fn passcode(mut self, passcode: impl TryInto<Passcode, Error: Into<SettingsError>>) -> Self {
        match passcode.try_into() {
            Ok(passcode) => self.values.passcode = Some(passcode),
            Err(error) => self.error = self.error.or(Some(error.into())),
        }
        self
    }

    /// `maxOccupants`: [`MaxOccupants`], or a number from 2 to 500.
    pub fn max_occupants(
        mut self,
        participants: impl TryInto<MaxOccupants, Error: Into<SettingsError>>,
    ) -> Self {
        match participants.try_into() {
            Ok(participants) => self.values.max_occupants = Some(participants),
            Err(error) => self.error = self.error.or(Some(error.into())),
        }
        self
    }

    /// `participantsSoftLimit`: beyond so many, participants join as visitors. Needs
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

    /// `visitorsLive`: whether visitors get in at once; JaaS takes it for `true` when absent (seen). Needs
    /// [`visitors_enabled(true)`](Self::visitors_enabled).
    pub fn visitors_live(mut self, live: bool) -> Self {
        self.values.visitors_live = Some(live);
        self
    }

    /// `transcriber` and `transcriberType`, which are two documented names of one setting; both are answered.
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

    /// A key that this version does not know. JaaS tolerates keys it does not know either (seen).
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Err(error) = self.values.insert_extra(key.into(), value.into()) {
            self.error = self.error.or(Some(error));
        }
        self
    }

    /// Checks everything together.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_answered_with_both_names_of_the_transcriber() {
        let settings = MeetingSettings::builder()
            .lobby_enabled(true)
            .passcode("0000")
            .lobby_type(LobbyType::WaitForApproval)
            .max_occupants(4)
            .transcriber("EGHT_WHISPER")
            .build()
            .expect("allowed");
        let answer: Value = serde_json::from_str(&settings.to_answer()).expect("JSON");
        let documented = serde_json::json!({
            "lobbyEnabled": true, "passcode": "0000", "lobbyType": "WAIT_FOR_APPROVAL", "maxOccupants": 4,
            "transcriber": "EGHT_WHISPER", "transcriberType": "EGHT_WHISPER",
        });
        assert_eq!(answer, documented);
    }

    #[test]
    fn nothing_set_is_an_empty_object() {
        assert_eq!(MeetingSettings::default().to_answer(), "{}");
        assert_eq!(MeetingSettings::builder().build().expect("allowed"), MeetingSettings::default());
    }

    #[test]
    fn every_key_is_known_to_the_list() {
        let all = r#"{"lobbyEnabled":true,"lobbyType":"WAIT_FOR_MODERATOR","passcode":"1","maxOccupants":2,
            "participantsSoftLimit":1,"visitorsEnabled":true,"visitorsLive":false,"transcriber":"GOOGLE",
            "autoTranscriptions":true,"asyncTranscriptions":true,"autoAudioRecording":true,"autoVideoRecording":true,
            "hideDisplayName":"GUEST","outboundPhoneNo":"+49 30 1"}"#;
        let settings = MeetingSettings::from_json(all).expect("allowed");
        let answer: Map<String, Value> = serde_json::from_str(&settings.to_answer()).expect("JSON");
        let mut keys = KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(answer.keys().collect::<Vec<_>>(), keys);
    }

    #[test]
    fn what_is_not_allowed_says_why() {
        for (json, why) in [
            (r#"{"passcode":""}"#, "the passcode is empty"),
            (r#"{"passcode":"12a"}"#, "the digits 0 to 9 only"),
            (r#"{"passcode":"१२"}"#, "the digits 0 to 9 only"),
            (r#"{"passcode":1234}"#, "write it in quotes"),
            (r#"{"passcode":["1"]}"#, "a passcode of digits in quotes"),
            (r#"{"maxOccupants":1}"#, "maxOccupants is 1, and must be 2 to 500"),
            (r#"{"maxOccupants":501}"#, "must be 2 to 500"),
            (r#"{"maxOccupants":-4}"#, "must be 2 to 500"),
            (r#"{"lobbyType":"WAIT_FOR_MODERATOR"}"#, "set lobbyEnabled to true"),
            (r#"{"lobbyEnabled":false,"lobbyType":"WAIT_FOR_APPROVAL"}"#, "set lobbyEnabled to true"),
            (r#"{"lobbyEnabled":true,"lobbyType":"wait"}"#, "WAIT_FOR_APPROVAL or WAIT_FOR_MODERATOR"),
            (r#"{"participantsSoftLimit":10}"#, "visitorsEnabled"),
            (r#"{"participantsSoftLimit":0,"visitorsEnabled":true}"#, "at least 1"),
            (r#"{"visitorsLive":true}"#, "visitorsEnabled"),
            (r#"{"transcriber":"GOOGLE","transcriberType":"EGHT_WHISPER"}"#, "two names of one setting"),
            (r#"{"transcriber":""}"#, "transcriber is empty"),
            (r#"{"hideDisplayName":""}"#, "hideDisplayName is empty"),
            (r#"{"lobbyEnable":true}"#, "unknown field `lobbyEnable`, expected one of `lobbyEnabled`"),
            (r#"{"passcode":"1","passcode":"2"}"#, "duplicate field `passcode`"),
            (r#"{"extra":{"passcode":"x"}}"#, "passcode cannot be an extra key"),
            (r#"{"extra":{"":1}}"#, "an extra key is empty"),
            ("[true]", "an object of meeting settings"),
        ] {
            let error = MeetingSettings::from_json(json).expect_err(json).to_string();
            assert!(error.contains(why), "{json}: {error}");
            assert!(!error.contains("12a") && !error.contains("1234"), "it quotes the passcode: {error}");
        }
    }

    #[test]
    fn the_builder_refuses_the_same() {
        let kind = |builder: MeetingSettingsBuilder| builder.build().expect_err("refused").kind();
        let builder = MeetingSettings::builder;
        assert_eq!(kind(builder().passcode("x")), SettingsErrorKind::Passcode);
        assert_eq!(kind(builder().max_occupants(1000)), SettingsErrorKind::MaxOccupants);
        assert_eq!(kind(builder().participants_soft_limit(3)), SettingsErrorKind::Contradiction);
        assert_eq!(kind(builder().extra("maxOccupants", 9999)), SettingsErrorKind::ExtraKey);
        let checked = Passcode::new("7").expect("a digit");
        assert!(builder().passcode(checked).max_occupants(MaxOccupants::MAX).build().is_ok());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let settings = MeetingSettings::builder()
            .passcode("001")
            .transcriber("NEWER")
            .extra("nested", serde_json::json!({"a": [1]}))
            .build()
            .expect("allowed");
        let written = serde_json::to_string(&settings).expect("JSON");
        assert_eq!(MeetingSettings::from_json(&written).expect("allowed"), settings);
        assert!(settings.to_answer().contains(r#""nested":{"a":[1]}"#));
    }

    #[test]
    fn neither_debug_nor_the_hidden_form_shows_secrets() {
        let settings = MeetingSettings::builder()
            .passcode("918273")
            .outbound_phone_no("+493012345")
            .extra("token", "s3cret")
            .build()
            .expect("allowed");
        let shown = format!(
            "{settings:?} {:?} {}",
            MeetingSettings::builder().passcode("918273"),
            settings.to_hidden()
        );
        assert!(!shown.contains("918273") && !shown.contains("+493012345"), "{shown}");
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(settings.to_hidden().contains(r#""passcode":"…""#));
    }
}
