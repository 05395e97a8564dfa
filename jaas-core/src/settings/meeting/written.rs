//! Settings in a file or a database, and how they are parsed.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{MeetingSettings, Values};
use crate::private::Personal;
use crate::settings::error::{SettingsError, SettingsErrorKind};
use crate::settings::value::{HideDisplayName, LobbyType, MaxOccupants, Passcode, Transcriber};

/// Settings as written in a file or a database: every key of the answer, and `extra` for further keys.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Written {
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

impl Serialize for MeetingSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self.clone()).serialize(serializer)
    }
}

impl From<MeetingSettings> for Written {
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
            transcriber: values.transcriber,
            transcriber_type: None,
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

impl TryFrom<Written> for MeetingSettings {
    type Error = SettingsError;

    fn try_from(written: Written) -> Result<Self, SettingsError> {
        let transcriber = match (written.transcriber, written.transcriber_type) {
            (Some(one), Some(other)) if one != other => {
                let message = format!(
                    "transcriber is {one} and transcriberType {other}; they are two names of one setting, so set one of them"
                );
                return Err(SettingsError::new(SettingsErrorKind::Contradiction, message));
            }
            (one, other) => one.or(other),
        };
        let mut values = Values {
            lobby_enabled: written.lobby_enabled,
            lobby_type: written.lobby_type,
            passcode: written.passcode,
            max_occupants: written.max_occupants,
            participants_soft_limit: written.participants_soft_limit,
            visitors_enabled: written.visitors_enabled,
            visitors_live: written.visitors_live,
            transcriber,
            auto_transcriptions: written.auto_transcriptions,
            async_transcriptions: written.async_transcriptions,
            auto_audio_recording: written.auto_audio_recording,
            auto_video_recording: written.auto_video_recording,
            hide_display_name: written.hide_display_name,
            outbound_phone_no: written.outbound_phone_no.map(Personal::new),
            extra: Map::new(),
        };
        for (key, value) in written.extra {
            values.insert_extra(key, value)?;
        }
        values.check()?;
        Ok(Self { values, decided_by: None })
    }
}

impl<'de> Deserialize<'de> for MeetingSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        // Serde's derived code for a struct would also accept a list of the values in their order.
        impl<'de> Visitor<'de> for Object {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of meeting settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Written::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Object)?.try_into().map_err(de::Error::custom)
    }
}

fn exposed<S: Serializer>(passcode: &Option<Passcode>, serializer: S) -> Result<S::Ok, S::Error> {
    passcode.as_ref().map(Passcode::expose).serialize(serializer)
}
