//! The single values of an answer. Each type can only hold what JaaS accepts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::{SettingsError, SettingsErrorKind};
use crate::lenient::open_enum;

/// The passcode of a meeting: one or more ASCII digits. `Debug` hides it and there is no `Display`; read it with
/// [`expose`](Passcode::expose).
///
/// Digits only is documented. JaaS silently drops a passcode with any other character, and the room opens unprotected
/// (seen).
///
/// ```
/// use jaas_core::settings::Passcode;
///
/// let passcode = Passcode::new("0420")?;
/// assert_eq!(passcode.expose(), "0420");
/// assert_eq!(format!("{passcode:?}"), "Passcode(…)");
/// assert!(Passcode::new("42a").is_err() && Passcode::new("").is_err());
/// # Ok::<(), jaas_core::settings::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Passcode(String);

impl Passcode {
    /// Checks and wraps a passcode.
    ///
    /// # Errors
    /// When it is empty, which would open the room without a passcode, or holds a character other than `0` to `9`.
    pub fn new(digits: impl Into<String>) -> Result<Self, SettingsError> {
        let digits = digits.into();
        let wrong = |message| Err(SettingsError::new(SettingsErrorKind::Passcode, message));
        if digits.is_empty() {
            return wrong(
                "the passcode is empty, so the room would open without one; omit it if you mean that",
            );
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong(
                "the passcode may hold the digits 0 to 9 only; with any other character the room would open without one",
            );
        }
        Ok(Self(digits))
    }

    /// Wraps digits that were checked before.
    pub(super) fn of_digits(digits: impl Iterator<Item = char>) -> Self {
        Self(digits.filter(char::is_ascii_digit).collect())
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(…)")
    }
}

impl FromStr for Passcode {
    type Err = SettingsError;

    fn from_str(digits: &str) -> Result<Self, SettingsError> {
        Self::new(digits)
    }
}

/// From a string only: a number has lost its leading zeros.
impl<'de> Deserialize<'de> for Passcode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl de::Visitor<'_> for Digits {
            type Value = Passcode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a passcode of digits in quotes, such as \"0420\"")
            }

            fn visit_str<E: de::Error>(self, digits: &str) -> Result<Passcode, E> {
                Passcode::new(digits).map_err(E::custom)
            }

            // Serde's own message would quote the number.
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Passcode, E> {
                Err(E::custom(UNQUOTED))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Passcode, E> {
                Err(E::custom(UNQUOTED))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Passcode, E> {
                Err(E::custom(UNQUOTED))
            }
        }

        deserializer.deserialize_any(Digits)
    }
}

const UNQUOTED: &str = "the passcode is a number; write it in quotes, because a number loses leading zeros";

/// How many participants a meeting may have at the same time: 2 to 500 (documented). Moderators count, and JaaS keeps
/// them out too when the meeting is full (seen).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaxOccupants(u16);

impl MaxOccupants {
    /// Checks a number of participants.
    pub(super) fn new(participants: i64) -> Result<Self, SettingsError> {
        match u16::try_from(participants) {
            Ok(checked @ 2..=500) => Ok(Self(checked)),
            _ => {
                let message = format!("maxOccupants is {participants}, and must be 2 to 500");
                Err(SettingsError::new(SettingsErrorKind::MaxOccupants, message))
            }
        }
    }

    pub(super) fn get(self) -> u16 {
        self.0
    }
}

impl Serialize for MaxOccupants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for MaxOccupants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// How the lobby lets people in (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LobbyType {
    /// Everyone except moderators asks to join, and a moderator admits them one by one. On the wire
    /// `WAIT_FOR_APPROVAL`; JaaS does the same when there is no type.
    WaitForApproval,
    /// The lobby ends when the first moderator joins. On the wire `WAIT_FOR_MODERATOR`.
    WaitForModerator,
}

impl LobbyType {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WaitForApproval => "WAIT_FOR_APPROVAL",
            Self::WaitForModerator => "WAIT_FOR_MODERATOR",
        }
    }
}

impl fmt::Display for LobbyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LobbyType {
    type Err = SettingsError;

    fn from_str(word: &str) -> Result<Self, SettingsError> {
        [Self::WaitForApproval, Self::WaitForModerator]
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| {
                let message =
                    format!("{word:?} is not a lobbyType; use WAIT_FOR_APPROVAL or WAIT_FOR_MODERATOR");
                SettingsError::new(SettingsErrorKind::Word, message)
            })
    }
}

impl Serialize for LobbyType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LobbyType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

open_enum! {
    /// The service that turns speech into text. Without one JaaS uses the setting of the Admin Panel (documented).
    pub enum Transcriber {
        /// Google.
        Google = "GOOGLE",
        /// Oracle Cloud AI Speech.
        OracleCloudAiSpeech = "ORACLE_CLOUD_AI_SPEECH",
        /// Whisper, run by 8x8.
        EghtWhisper = "EGHT_WHISPER",
    }

    /// Whose display names are hidden.
    pub enum HideDisplayName {
        /// Those of guests.
        Guest = "GUEST",
    }
}

macro_rules! word {
    ($($Word:ident)*) => {$(
        impl From<String> for $Word {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl Serialize for $Word {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $Word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(String::deserialize(deserializer)?))
            }
        }
    )*};
}
word! { Transcriber HideDisplayName }
