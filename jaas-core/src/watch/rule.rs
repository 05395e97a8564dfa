//! What should follow what, and within how long.

use std::time::Duration;

use crate::config::{ConfigError, ConfigErrorKind};
use crate::named::named_enum;

named_enum! {
    /// What is missing when something was seen and what should follow was not.
    #[non_exhaustive]
    pub enum Rule {
        /// A recording ended, and no `RECORDING_UPLOADED` came for it.
        RecordingNotUploaded = "recording_not_uploaded",
        /// A `RECORDING_UPLOADED` came, and no `RECORDING_STARTED` for it. When this is so for every recording, the
        /// endpoint is probably not subscribed to the event.
        RecordingNotStarted = "recording_not_started",
        /// Phrases of a transcription came, and no `TRANSCRIPTION_UPLOADED` after the meeting.
        TranscriptionNotUploaded = "transcription_not_uploaded",
        /// A participant or a call came to a room, and no event about leaving it came, although the room has closed or
        /// the participant is elsewhere.
        StayNotLeft = "stay_not_left",
        /// A room opened, and no `ROOM_DESTROYED` came, although the session is silent or, of a breakout room, the
        /// meeting has closed.
        RoomNotClosed = "room_not_closed",
        /// A participant or a phone was in a meeting together with others, and no `USAGE` has its endpoint id.
        UsageNotSent = "usage_not_sent",
        /// A `USAGE` names an endpoint id that has not joined.
        JoinNotSent = "join_not_sent",
        /// Nothing authentic came to an endpoint in hours in which something came in the weeks before.
        EndpointSilent = "endpoint_silent",
        /// An endpoint that has accepted deliveries refuses every one: its secret is not the sender's any more, or a
        /// clock is wrong.
        EndpointRefuses = "endpoint_refuses",
    }
}

named_enum! {
    /// How much is lost when nobody acts.
    #[non_exhaustive]
    pub enum Severity {
        /// A figure is wrong.
        Info = "info",
        /// What the application knows of a meeting is wrong.
        Warning = "warning",
        /// A file is deleted for good, 24 h after it was made (documented).
        Critical = "critical",
    }
}

impl Rule {
    /// What was seen, by the names on the wire.
    pub const fn seen(self) -> &'static str {
        match self {
            Self::RecordingNotUploaded => "RECORDING_ENDED or RECORDING_STARTED",
            Self::RecordingNotStarted => "RECORDING_UPLOADED",
            Self::TranscriptionNotUploaded => "TRANSCRIPTION_CHUNK_RECEIVED",
            Self::StayNotLeft => "PARTICIPANT_JOINED, or the start of a call",
            Self::RoomNotClosed => "ROOM_CREATED or PARTICIPANT_JOINED",
            Self::UsageNotSent => "PARTICIPANT_JOINED or DIAL_…_STARTED",
            Self::JoinNotSent => "USAGE",
            Self::EndpointSilent => "the same hours of the weeks before",
            Self::EndpointRefuses => "an accepted delivery, and refused ones after it",
        }
    }

    /// What should have followed, by the names on the wire.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::RecordingNotUploaded => "RECORDING_UPLOADED",
            Self::RecordingNotStarted => "RECORDING_STARTED",
            Self::TranscriptionNotUploaded => "TRANSCRIPTION_UPLOADED",
            Self::StayNotLeft => "PARTICIPANT_LEFT, or the end of the call",
            Self::RoomNotClosed => "ROOM_DESTROYED",
            Self::UsageNotSent => "USAGE",
            Self::JoinNotSent => "PARTICIPANT_JOINED or DIAL_…_STARTED",
            Self::EndpointSilent => "any authentic delivery",
            Self::EndpointRefuses => "a delivery with a valid signature",
        }
    }

    /// How much is lost when nobody acts.
    pub const fn severity(self) -> Severity {
        match self {
            Self::RecordingNotUploaded | Self::TranscriptionNotUploaded | Self::EndpointRefuses => {
                Severity::Critical
            }
            Self::StayNotLeft | Self::RoomNotClosed | Self::EndpointSilent => Severity::Warning,
            Self::RecordingNotStarted | Self::UsageNotSent | Self::JoinNotSent => Severity::Info,
        }
    }

    const fn default_within(self) -> Duration {
        Duration::from_secs(match self {
            Self::RecordingNotUploaded | Self::TranscriptionNotUploaded => 60 * 60,
            Self::EndpointSilent => 2 * 60 * 60,
            Self::RecordingNotStarted
            | Self::EndpointRefuses
            | Self::StayNotLeft
            | Self::RoomNotClosed
            | Self::UsageNotSent
            | Self::JoinNotSent => 15 * 60,
        })
    }
}

/// As its name.
/// As its name.
/// Which rules apply, and how long each waits.
///
/// ```
/// use jaas_core::watch::{Rule, Rules};
/// use std::time::Duration;
///
/// let rules = Rules::default()
///     .within(Rule::RecordingNotUploaded, Duration::from_secs(2 * 60 * 60))
///     .off(Rule::UsageNotSent)
///     .off(Rule::JoinNotSent);
/// assert_eq!(rules.wait(Rule::UsageNotSent), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Rules {
    within: [Option<Duration>; Rule::ALL.len()],
    silence: Duration,
}

impl Default for Rules {
    /// All rules, with their defaults.
    fn default() -> Self {
        Self {
            within: Rule::ALL.map(|rule| Some(rule.default_within())),
            silence: Duration::from_secs(8 * 60 * 60),
        }
    }
}

impl Rules {
    /// How long after what was seen its follower is a gap, counted from when the application received what was seen.
    /// Of a
    /// silent endpoint it is the shortest silence that can be a gap, of one that refuses how long it has refused all.
    /// Defaults to 1 h for uploads, to 2 h for a silent endpoint, and to 15 min for the others.
    pub fn within(mut self, rule: Rule, wait: Duration) -> Self {
        self.within[rule as usize] = Some(wait);
        self
    }

    /// A rule that does not apply, for example because no endpoint is subscribed to the event that it waits for.
    /// Defaults to none.
    pub fn off(mut self, rule: Rule) -> Self {
        self.within[rule as usize] = None;
        self
    }

    /// How long a session without a `ROOM_DESTROYED` can be silent until its room is a gap, and with it whatever waits
    /// for the end of the meeting. In a meeting in which nobody comes or goes, no event may come for hours. Defaults
    /// to 8 h.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// How long a rule waits; `None` when it is off.
    pub fn wait(&self, rule: Rule) -> Option<Duration> {
        self.within[rule as usize]
    }

    pub(super) fn silent_for(&self) -> Duration {
        self.silence
    }

    /// After how long an event can make a gap, at the earliest.
    pub(super) fn shortest(&self) -> Duration {
        self.within.iter().flatten().copied().chain([self.silence]).min().unwrap_or(self.silence)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.shortest() < Duration::from_secs(1) {
            let why = "no rule of the watch can wait for less than 1 s; turn it off instead";
            return Err(ConfigError::new(ConfigErrorKind::Range, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_of_rules_is_indexed_by_the_variant() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index);
            assert_eq!(Rule::from_name(rule.as_str()), Some(rule));
        }
    }

    #[test]
    fn a_wait_of_nothing_is_refused() {
        let rules = Rules::default().within(Rule::StayNotLeft, Duration::from_millis(5));
        assert!(rules.check().is_err());
        assert!(rules.off(Rule::StayNotLeft).check().is_ok());
    }
}
