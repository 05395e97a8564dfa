//! The answer when the provider does not return settings.

use std::time::Duration;

use hmac::Mac as _;

use super::meeting::MeetingSettings;
use super::value::{LobbyType, Passcode};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::id::Fqn;
use crate::signature;

/// What the settings service answers when the provider fails, panics, exceeds the timeout or has no settings for the
/// room, or when too many questions arrive at the same time. There is no default, because each choice gives up
/// something else:
///
/// | policy | the room | who cannot join |
/// |---|---|---|
/// | [`fail_closed`](Self::fail_closed) | lobby and a passcode that no participant knows | everyone whom no moderator admits |
/// | [`fallback`](Self::fallback) | as you choose | as you choose |
/// | [`last_known_good`](Self::last_known_good) | as the last time; the first time as another policy decides | |
/// | [`refuse`](Self::refuse) | **opens to everyone**, who are shown an error | no one |
///
/// ```
/// use jaas_core::settings::FailurePolicy;
/// use std::time::Duration;
///
/// // What was said within the last day, and a closed room where nothing was.
/// let policy = FailurePolicy::last_known_good(Duration::from_secs(86_400), FailurePolicy::fail_closed());
/// # let _ = policy;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FailurePolicy(pub(super) Policy);

#[derive(Debug, Clone)]
pub(super) enum Policy {
    Fallback(Box<MeetingSettings>),
    LastKnownGood { max_age: Duration, then: Box<Policy> },
    FailClosed,
    Refuse { message: String },
}

impl FailurePolicy {
    /// Answers with these settings, for every room.
    pub fn fallback(settings: MeetingSettings) -> Self {
        Self(Policy::Fallback(Box::new(settings)))
    }

    /// Answers with the provider's last settings for this room if they are no older than `max_age`, and otherwise as
    /// `then` decides. The same applies when the provider no longer has settings for the room: deleted settings
    /// continue until `max_age`, unlike with [`Cached`](super::Cached). They are kept in memory, so none are known
    /// after a restart. [`remember_rooms`](super::SettingsServiceBuilder::remember_rooms) sets how many rooms are
    /// remembered.
    pub fn last_known_good(max_age: Duration, then: Self) -> Self {
        Self(Policy::LastKnownGood { max_age, then: Box::new(then.0) })
    }

    /// Closes the room: a lobby in which everyone except moderators waits to be admitted, and a passcode of 10 digits
    /// that no participant knows.
    ///
    /// - A room for which the provider has no settings is closed too. So rules without a default close every room that
    ///   no rule matches; the settings service warns about it when it is built.
    /// - A moderator has to admit people, so the meeting needs a participant whose token makes them a moderator.
    ///   Without a moderator no one gets in.
    /// - The passcode closes the ways around the lobby that a passcode closes, such as dialling in. 8x8 does not
    ///   publish whether a moderator must enter it too: try it on your tenant.
    /// - A room has the same passcode each time, as long as the process lives; with a
    ///   [`passcode_key`](super::SettingsServiceBuilder::passcode_key) also after a restart and in every process with
    ///   that key. So you can give it to people who ask:
    ///   [`passcode_when_closed`](super::SettingsService::passcode_when_closed).
    pub fn fail_closed() -> Self {
        Self(Policy::FailClosed)
    }

    /// Answers 400 with the one error body that reaches people: everyone who joins sees the message. **The room still
    /// opens to everyone** (seen), so this reports a failure and does not protect the room.
    pub fn refuse(message: impl Into<String>) -> Self {
        Self(Policy::Refuse { message: message.into() })
    }
}

impl Policy {
    /// Whether the last answer for each room must be remembered.
    pub(super) fn needs_memory(&self) -> bool {
        matches!(self, Self::LastKnownGood { .. })
    }

    /// Whether it may close a room.
    pub(super) fn closes(&self) -> bool {
        match self {
            Self::FailClosed => true,
            Self::LastKnownGood { then, .. } => then.closes(),
            Self::Fallback(_) | Self::Refuse { .. } => false,
        }
    }
}

/// The key from which the passcodes of closed rooms are derived. The same key makes the same passcode for a room;
/// without the key, no passcode can be guessed from another.
#[derive(Clone)]
pub(super) struct PasscodeKey(Vec<u8>);

const DIGITS: usize = 10;

impl PasscodeKey {
    pub(super) fn random() -> Result<Self, ConfigError> {
        let mut key = vec![0; 32];
        getrandom::fill(&mut key).map_err(|error| {
            ConfigError::new(
                ConfigErrorKind::Secret,
                format!("the system returned no random bytes for passcodes ({error}); set a passcode_key"),
            )
        })?;
        Ok(Self(key))
    }

    pub(super) fn given(key: Vec<u8>) -> Result<Self, ConfigError> {
        if key.len() < 16 {
            return Err(ConfigError::new(
                ConfigErrorKind::Secret,
                "the passcode_key must have at least 16 bytes; otherwise passcodes can be guessed",
            ));
        }
        Ok(Self(key))
    }

    /// Returns the passcode of this meeting, whatever the spelling of its name.
    pub(super) fn passcode(&self, fqn: &Fqn) -> Passcode {
        let tenant = fqn.app_id().map(str::to_lowercase).unwrap_or_default();
        let mac = signature::keyed(&self.0)
            .chain_update(tenant.len().to_be_bytes())
            .chain_update(tenant)
            .chain_update(fqn.room_key())
            .finalize()
            .into_bytes();
        // Two bytes for each digit, so that all digits are almost equally likely.
        let digits = mac.chunks(2).take(DIGITS).map(|pair| {
            let number = pair.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            char::from_digit(number % 10, 10).unwrap_or('0')
        });
        Passcode::of_digits(digits)
    }

    /// Returns the settings of a closed room.
    pub(super) fn closed(&self, fqn: &Fqn) -> MeetingSettings {
        MeetingSettings::closed(LobbyType::WaitForApproval, self.passcode(fqn))
    }
}

impl std::fmt::Debug for PasscodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasscodeKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_closed_room_keeps_its_passcode_and_does_not_share_it() {
        let key = PasscodeKey::given(vec![7; 16]).expect("long enough");
        let of = |fqn: &str| key.passcode(&Fqn::new(fqn)).expose().to_owned();
        assert_eq!(of("a/Team%20Room"), of("A/team room"));
        let all: HashSet<_> = (0..1000).map(|room| of(&format!("a/{room}"))).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|passcode| passcode.len() == DIGITS));
        assert_ne!(of("a/b"), of("ab"));
        let other = PasscodeKey::random().expect("random bytes");
        assert_ne!(other.passcode(&Fqn::new("a/b")).expose(), of("a/b"));
        assert!(PasscodeKey::given(vec![7; 15]).is_err());
    }

    #[test]
    fn every_digit_comes_up() {
        let key = PasscodeKey::random().expect("random bytes");
        let mut counts = [0_usize; 10];
        for room in 0..1000 {
            for digit in key.passcode(&Fqn::new(room.to_string())).expose().bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
    }
}
