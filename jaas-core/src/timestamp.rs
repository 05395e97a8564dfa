//! Points in time as JaaS writes them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::{Field, Write};

/// A point in time in **milliseconds** since the Unix epoch: the unit of `timestamp` and of every other
/// time in a JaaS body. (Only the `t` of the signature header counts seconds.)
///
/// ```
/// use jaas_core::Timestamp;
/// use std::time::{Duration, SystemTime};
///
/// let joined = Timestamp::from_millis(1_600_951_818_143);
/// assert_eq!(joined.to_string(), "2020-09-24T12:50:18.143Z");
/// assert_eq!(SystemTime::from(joined), SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_951_818_143));
/// assert_eq!(jiff::Timestamp::try_from(joined)?.as_millisecond(), joined.as_millis());
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch; saturates at the ends of the range.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time plus `duration`; saturates at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time minus `duration`; saturates at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this time is; zero when it is not after it.
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds; the bare number where a calendar cannot show it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let distance = Duration::from_millis(at.0.unsigned_abs());
        if at.0 >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = jiff::Error;

    fn try_from(at: Timestamp) -> Result<Self, Self::Error> {
        Self::from_millisecond(at.0)
    }
}

#[cfg(feature = "chrono")]
impl From<chrono::DateTime<chrono::Utc>> for Timestamp {
    fn from(at: chrono::DateTime<chrono::Utc>) -> Self {
        Self(at.timestamp_millis())
    }
}

/// `None` in chrono's own terms: the time is outside what chrono can show.
#[cfg(feature = "chrono")]
impl TryFrom<Timestamp> for chrono::DateTime<chrono::Utc> {
    type Error = TimestampRangeError;

    fn try_from(at: Timestamp) -> Result<Self, Self::Error> {
        Self::from_timestamp_millis(at.0).ok_or(TimestampRangeError(at))
    }
}

#[cfg(feature = "time")]
impl From<time::OffsetDateTime> for Timestamp {
    fn from(at: time::OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

#[cfg(feature = "time")]
impl TryFrom<Timestamp> for time::OffsetDateTime {
    type Error = TimestampRangeError;

    fn try_from(at: Timestamp) -> Result<Self, Self::Error> {
        Self::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).map_err(|_| TimestampRangeError(at))
    }
}

/// The time is outside what the calendar library can represent.
#[cfg(any(feature = "chrono", feature = "time"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is outside the calendar library's range")]
pub struct TimestampRangeError(pub Timestamp);

impl Field for Timestamp {
    fn parse(raw: &str) -> Option<Self> {
        i64::parse(raw).map(Self::from_millis)
    }
}

impl Write for Timestamp {
    fn write(&self) -> Option<Value> {
        Some(self.as_millis().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_time_round_trips_before_and_after_the_epoch() {
        for millis in [-86_400_001, -1, 0, 1, 1_600_951_818_143] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(at)), at);
        }
    }

    #[test]
    fn display_survives_times_no_calendar_can_show() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), format!("{}ms", i64::MAX));
    }

    #[cfg(all(feature = "chrono", feature = "time"))]
    #[test]
    fn chrono_and_time_round_trip() {
        let at = Timestamp::from_millis(1_600_951_818_143);
        let chrono = chrono::DateTime::<chrono::Utc>::try_from(at).expect("in range");
        let time = time::OffsetDateTime::try_from(at).expect("in range");
        assert_eq!((Timestamp::from(chrono), Timestamp::from(time)), (at, at));
        assert!(chrono::DateTime::<chrono::Utc>::try_from(Timestamp::from_millis(i64::MAX)).is_err());
        assert!(time::OffsetDateTime::try_from(Timestamp::from_millis(i64::MAX)).is_err());
    }
}
