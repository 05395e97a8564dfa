//! The devices that the bill counts.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::{ConfigError, ConfigErrorKind};
use crate::id::AppId;
use crate::timestamp::Timestamp;

/// Hashes the ids of devices, some of which are phone numbers, so that they can be counted and not be read.
///
/// The same key gives the same hash: another key makes each device another one, so keep the key for as long as you count,
/// and change it between two months.
///
/// ```
/// use jaas_core::meetings::DeviceKey;
///
/// let key = DeviceKey::new("9c1f2b7e5d4a4f0e8b3c6d7e8f901234")?;
/// assert_eq!(key.hash("349304d3"), key.hash("349304d3"));
/// assert_ne!(key.hash("349304d3"), key.hash("+15550100123"));
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct DeviceKey(Hmac<Sha256>);

/// How many bytes a key has at least.
const SHORTEST: usize = 16;

impl DeviceKey {
    /// A key: a secret text of the application, of at least 16 bytes.
    ///
    /// # Errors
    /// [`Secret`](ConfigErrorKind::Secret) when it is shorter.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let key = key.as_ref();
        let mac = Hmac::new_from_slice(key).ok().filter(|_| key.len() >= SHORTEST);
        mac.map(Self).ok_or_else(|| {
            let why = "the key that hashes devices has fewer than 16 bytes, so phone numbers could be guessed from the \
                       hashes; generate a random one and keep it with your secrets";
            ConfigError::new(ConfigErrorKind::Secret, why)
        })
    }

    /// The hash of a device: 32 hex digits of HMAC-SHA256.
    pub fn hash(&self, device: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(device.as_bytes());
        mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

/// A month in UTC.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_core::meetings::Month;
///
/// let month = Month::of(Timestamp::from_millis(1_795_420_800_000)).unwrap();
/// assert_eq!(month.to_string(), "2026-11");
/// assert_eq!(Month::new(2026, 11), Some(month));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// A month of a year, 1 to 12; `None` for other numbers.
    pub fn new(year: i16, month: i8) -> Option<Self> {
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// The month of this time; `None` when it is thousands of years away.
    pub fn of(at: Timestamp) -> Option<Self> {
        let at = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::try_from(at).ok()?);
        Self::new(at.year(), at.month())
    }

    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }

    /// The month of the year, 1 to 12.
    pub fn month(self) -> i8 {
        self.month
    }
}

/// As in `2026-11`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// How many devices the bill of a month counts, as far as the events were received: the distinct devices of all `USAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonthlyDevices {
    /// The tenant, as it is compared.
    pub app: AppId,
    /// The month, in UTC, of the event's time.
    pub month: Month,
    /// How many.
    pub devices: u64,
}

impl MonthlyDevices {
    /// So many devices.
    pub fn new(app: AppId, month: Month, devices: u64) -> Self {
        Self { app, month, devices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_hashed_with_the_key() {
        let key = |text: &str| DeviceKey::new(text).expect("long enough");
        let (one, other) = (key("0123456789abcdef"), key("0123456789abcdeg"));
        assert_eq!(one.hash("+15550100123").len(), 32);
        assert_ne!(one.hash("+15550100123"), other.hash("+15550100123"));
        assert!(!format!("{one:?}").contains("0123"));
        assert!(DeviceKey::new("too short").expect_err("short").to_string().contains("16 bytes"));
    }

    #[test]
    fn a_month_ends_with_its_last_millisecond() {
        let month = |millis| Month::of(Timestamp::from_millis(millis)).map(|month| month.to_string());
        assert_eq!(month(1_793_491_199_999).as_deref(), Some("2026-10"));
        assert_eq!(month(1_793_491_200_000).as_deref(), Some("2026-11"));
        assert_eq!(month(i64::MAX), None);
        assert_eq!(Month::new(2026, 13), None);
    }
}
