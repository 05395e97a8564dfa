//! How long a store keeps what it holds.

use std::time::Duration;

use super::EventState;
use crate::config::{ConfigError, ConfigErrorKind};
use crate::signature::Tolerance;
use crate::timestamp::Timestamp;

/// How long rows of one kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Keep {
    /// How long after they were settled, or last received. Forever when `None`.
    pub age: Option<Duration>,
    /// How many of the newest. All when `None`.
    pub count: Option<u64>,
}

impl Keep {
    /// Keeps rows forever.
    pub const FOREVER: Self = Self { age: None, count: None };

    /// Keeps rows for this duration.
    pub const fn age(age: Duration) -> Self {
        Self { age: Some(age), count: None }
    }

    /// Keeps rows for this number of days.
    pub const fn days(days: u64) -> Self {
        Self::age(Duration::from_secs(days * 24 * 60 * 60))
    }

    /// Keeps this number of the newest rows. Can be combined: `Keep::days(30).newest(1_000_000)`.
    #[must_use]
    pub const fn newest(self, count: u64) -> Self {
        Self { age: self.age, count: Some(count) }
    }
}

/// What [`purge`](super::EventAdmin::purge) keeps: by default done, ignored and discarded events for 30 days, dead
/// letters, conflicts and quarantine for 90 days.
///
/// ```
/// use jaas_core::signature::Tolerance;
/// use jaas_core::store::{EventState, Keep, Retention};
///
/// let retention = Retention::builder(Tolerance::default())
///     .events(EventState::Done, Keep::days(7).newest(1_000_000))
///     .events(EventState::Dead, Keep::FOREVER)
///     .build()?;
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    events: [Keep; EventState::ALL.len()],
    conflicts: Keep,
    quarantined: Keep,
    key_lifetime: Duration,
}

impl Retention {
    /// Starts with the defaults, for endpoints that accept signatures within this tolerance.
    ///
    /// A signed request can be sent again as long as its signature is accepted, and only the stored key identifies the
    /// repetition. So no key is deleted before the whole tolerance, past and future together, has passed since it was
    /// received, whatever the other settings are. With several endpoints, pass the widest tolerance.
    pub fn builder(tolerance: Tolerance) -> RetentionBuilder {
        let (month, quarter) = (Keep::days(30), Keep::days(90));
        let events = EventState::ALL.map(|state| match state {
            EventState::Waiting | EventState::Running => Keep::FOREVER,
            EventState::Done | EventState::Ignored | EventState::Discarded => month,
            EventState::Dead => quarter,
        });
        let key_lifetime = tolerance.past.saturating_add(tolerance.future);
        RetentionBuilder(Self { events, conflicts: quarter, quarantined: quarter, key_lifetime })
    }

    /// How long events of this state are kept. Waiting and running events are always kept.
    pub fn events(&self, state: EventState) -> Keep {
        let index = EventState::ALL.iter().position(|each| *each == state);
        index.and_then(|index| self.events.get(index)).copied().unwrap_or(Keep::FOREVER)
    }

    /// How long conflicts are kept, unless their event is purged.
    pub fn conflicts(&self) -> Keep {
        self.conflicts
    }

    /// How long bodies stay in quarantine.
    pub fn quarantined(&self) -> Keep {
        self.quarantined
    }

    /// Only keys received before this time may be deleted.
    pub fn keys_before(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.key_lifetime)
    }

    /// What is watched of a session of which nothing was recorded since this time may be deleted; `None` when handled events
    /// are kept forever.
    pub fn sessions_before(&self, now: Timestamp) -> Option<Timestamp> {
        let keep = self.events(EventState::Done);
        let forgettable = self.keys_before(now);
        let before = keep.age.map_or(forgettable, |age| now.saturating_sub(age).min(forgettable));
        (keep != Keep::FOREVER).then_some(before)
    }
}

/// Builds a [`Retention`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RetentionBuilder(Retention);

impl RetentionBuilder {
    /// Sets how long settled events of this state are kept. Defaults to 30 days; dead letters to 90.
    pub fn events(mut self, state: EventState, keep: Keep) -> Self {
        for (each, kept) in EventState::ALL.iter().zip(&mut self.0.events) {
            if *each == state {
                *kept = keep;
            }
        }
        self
    }

    /// Sets how long conflicts are kept. Defaults to 90 days.
    pub fn conflicts(mut self, keep: Keep) -> Self {
        self.0.conflicts = keep;
        self
    }

    /// Sets how long bodies stay in quarantine. Defaults to 90 days.
    pub fn quarantined(mut self, keep: Keep) -> Self {
        self.0.quarantined = keep;
        self
    }

    /// Checks the settings and builds the retention.
    ///
    /// # Errors
    /// When keys would be deleted while signatures with them are still accepted, and when unsettled events would be
    /// deleted.
    pub fn build(self) -> Result<Retention, ConfigError> {
        for state in EventState::ALL {
            let keep = self.0.events(state);
            if !state.is_settled() && keep != Keep::FOREVER {
                return Err(ConfigError::new(
                    ConfigErrorKind::Contradiction,
                    format!(
                        "{state} events cannot be purged: their work is not done yet; discard them instead"
                    ),
                ));
            }
            if let Some(age) = keep.age.filter(|age| *age < self.0.key_lifetime) {
                return Err(ConfigError::new(
                    ConfigErrorKind::Contradiction,
                    format!(
                        "{state} events cannot be purged after {age:?}: signatures are accepted for {:?}, and a request sent \
                     again in that time would be taken for a new event; keep them at least as long, or narrow the \
                     tolerance",
                        self.0.key_lifetime
                    ),
                ));
            }
        }
        Ok(self.0)
    }
}

/// What a purge deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Purged {
    /// Events.
    pub events: u64,
    /// Conflicts, except those deleted with their event.
    pub conflicts: u64,
    /// Bodies in quarantine.
    pub quarantined: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

impl Purged {
    /// Creates a result with these counts.
    pub fn new(events: u64, conflicts: u64, quarantined: u64, more: bool) -> Self {
        Self { events, conflicts, quarantined, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_would_not_outlive_the_tolerance_are_refused() {
        let build = |age| {
            Retention::builder(Tolerance::default()).events(EventState::Ignored, Keep::age(age)).build()
        };
        let lifetime = Tolerance::default().past + Tolerance::default().future;
        assert!(build(lifetime).is_ok());
        let error = build(lifetime - Duration::from_millis(1)).expect_err("too short").to_string();
        assert!(error.contains("ignored events cannot be purged after"), "{error}");
    }

    #[test]
    fn work_that_is_not_done_is_never_purged() {
        let built =
            Retention::builder(Tolerance::default()).events(EventState::Waiting, Keep::days(30)).build();
        assert!(built.expect_err("not settled").to_string().contains("discard them"));
        let kept = Retention::builder(Tolerance::default()).build().expect("the default");
        assert_eq!(kept.events(EventState::Running), Keep::FOREVER);
        assert_eq!(kept.events(EventState::Done), Keep::days(30));
    }
}
