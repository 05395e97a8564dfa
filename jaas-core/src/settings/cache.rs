//! A provider that remembers the results of another provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use super::meeting::MeetingSettings;
use super::provider::{SettingsProvider, has_none};
use super::recent::{LastAnswers, Meeting, Recent};
use super::request::SettingsRequest;
use crate::attempt;
use crate::handler::HandlerError;
use crate::telemetry::{Escaped, target};

/// Returns the earlier result of the provider behind it for the room, until that expires. Optionally it returns it for
/// longer, while that provider fails or is slow.
///
/// The cache is in memory, keyed by endpoint and meeting, so further keys of a question make no difference.
///
/// ```
/// use jaas_core::settings::{Cached, Fixed, MeetingSettings};
/// use std::time::Duration;
///
/// let provider = Fixed::new(MeetingSettings::builder().max_occupants(50).build()?);
/// let cached = Cached::new(provider, Duration::from_secs(30)).last_known_good(Duration::from_secs(24 * 60 * 60));
/// # Ok::<(), jaas_core::settings::SettingsError>(())
/// ```
#[must_use]
pub struct Cached<P> {
    provider: P,
    expires_after: Duration,
    last_known_good: Option<Duration>,
    timeout: Duration,
    known: Mutex<LastAnswers>,
}

impl<P: SettingsProvider> Cached<P> {
    /// Remembers each result for this long, and then asks again.
    pub fn new(provider: P, expires_after: Duration) -> Self {
        Self {
            provider,
            expires_after,
            last_known_good: None,
            timeout: Duration::from_secs(1),
            known: Mutex::new(Recent::new(10_000)),
        }
    }

    /// Continues to return the last result, up to `max_age` after it, while the provider fails or does not respond
    /// within the [timeout](Self::timeout). A provider that has [no settings](super::NoSettingsForRoom) for the room
    /// has not failed. Off by default.
    pub fn last_known_good(mut self, max_age: Duration) -> Self {
        self.last_known_good = Some(max_age);
        self
    }

    /// How long to wait for the provider when there is an older result. It must be shorter than the timeout of the
    /// settings service to have an effect. Defaults to 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The maximum number of remembered rooms; at least half of it is used. Defaults to 10,000.
    pub fn capacity(mut self, rooms: usize) -> Self {
        self.known = Mutex::new(Recent::new(rooms));
        self
    }

    /// Forgets everything. Call it when settings have changed.
    pub fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, LastAnswers> {
        // No code panics while it holds the lock.
        self.known.lock()
    }

    /// Returns the earlier result, if it is no older than this.
    fn recall(&self, meeting: &Meeting, max_age: Duration, how: &str) -> Option<MeetingSettings> {
        let known = self.known();
        let (settings, at) = known.get(meeting)?;
        let settings = (at.elapsed() <= max_age).then(|| (**settings).clone())?;
        let decided_by = settings.decided_by().map(|by| format!("{by} ({how})"));
        Some(settings.with_decided_by(decided_by.unwrap_or_else(|| how.to_owned())))
    }
}

#[async_trait]
impl<P: SettingsProvider> SettingsProvider for Cached<P> {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        let meeting = Meeting::of(request);
        if let Some(settings) = self.recall(&meeting, self.expires_after, "cached") {
            return Ok(settings);
        }
        let older = self.last_known_good.and_then(|age| self.recall(&meeting, age, "last known good"));
        let asked = self.provider.settings(request);
        let answered = match older {
            None => asked.await,
            Some(older) => match timeout(self.timeout, asked).await {
                Ok(Err(error)) if !has_none(&error) => {
                    tracing::warn!(
                        target: target::SETTINGS, error = %Escaped(attempt::error_text(&error)),
                        "the settings provider failed; returning its last known settings"
                    );
                    return Ok(older);
                }
                Ok(answered) => answered,
                Err(_) => {
                    tracing::warn!(target: target::SETTINGS, timeout = ?self.timeout, "the settings provider is slow; returning its last known settings");
                    return Ok(older);
                }
            },
        };
        match &answered {
            Ok(settings) => self.known().insert(meeting, (Arc::new(settings.clone()), Instant::now())),
            Err(error) if has_none(error) => self.known().remove(&meeting),
            Err(_) => {}
        }
        answered
    }

    fn answers_every_room(&self) -> bool {
        self.provider.answers_every_room()
    }
}

impl<P> fmt::Debug for Cached<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("expires_after", &self.expires_after)
            .field("last_known_good", &self.last_known_good)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
