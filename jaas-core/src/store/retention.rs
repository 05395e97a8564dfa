//! How long a store keeps what it holds.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::{Attempt, Conflict, EventState, Quarantined, RowId, StoredEvent};
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

    /// Returns which rows of one kind need not be kept, oldest first. Each row comes with when it was settled, or last
    /// received.
    ///
    /// ```
    /// use jaas_core::Timestamp;
    /// use jaas_core::store::{Keep, RowId};
    ///
    /// let rows = [(300, 1), (100, 2), (200, 3)].map(|(at, id)| (Timestamp::from_secs(at), RowId::new(id)));
    /// assert_eq!(Keep::FOREVER.newest(1).expired(rows, Timestamp::from_secs(300)), [2, 3].map(RowId::new));
    /// ```
    pub fn expired(self, rows: impl IntoIterator<Item = (Timestamp, RowId)>, now: Timestamp) -> Vec<RowId> {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable();
        let count = |count| rows.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        let surplus = self.count.map_or(0, count);
        let too_old = |at| self.age.is_some_and(|age| at < now.saturating_sub(age));
        let expired = rows.iter().enumerate().filter(|(place, (at, _))| *place < surplus || too_old(*at));
        expired.map(|(_, (_, id))| *id).collect()
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

    /// Returns what [`purge`](super::EventAdmin::purge) deletes of all that a store holds: at most `limit` events, conflicts and
    /// bodies in quarantine each, and with the events their conflicts and attempts. No two rows of any kind may have the same
    /// number.
    pub fn expired<'a>(
        &self,
        events: impl IntoIterator<Item = &'a StoredEvent> + Clone,
        conflicts: impl IntoIterator<Item = &'a Conflict>,
        quarantined: impl IntoIterator<Item = &'a Quarantined>,
        attempts: impl IntoIterator<Item = &'a Attempt>,
        now: Timestamp,
        limit: usize,
    ) -> Expired {
        let (mut rows, mut more) = (HashSet::new(), false);
        let mut delete = |rows: &mut HashSet<RowId>, expired: Vec<RowId>| {
            more |= expired.len() > limit;
            rows.extend(expired.iter().take(limit));
            expired.len().min(limit) as u64
        };
        let deleted = delete(&mut rows, self.expired_events(events.clone(), now));
        let gone = events.into_iter().filter(|event| rows.contains(&event.id));
        let keys: HashSet<_> = gone.map(|event| (&event.endpoint, &event.idempotency_key)).collect();
        let of_gone = attempts.into_iter().filter(|attempt| rows.contains(&attempt.event));
        let attempts: Vec<RowId> = of_gone.map(|attempt| attempt.id).collect();
        rows.extend(attempts);
        let (of_gone, others): (Vec<_>, Vec<_>) =
            conflicts.into_iter().partition(|row| keys.contains(&(&row.endpoint, &row.idempotency_key)));
        rows.extend(of_gone.iter().map(|row| row.id));
        let ages = others.into_iter().map(|row| (row.last_received_at, row.id));
        let conflicts = delete(&mut rows, self.conflicts.expired(ages, now));
        let ages = quarantined.into_iter().map(|row| (row.last_received_at, row.id));
        let quarantined = delete(&mut rows, self.quarantined.expired(ages, now));
        Expired { rows, purged: Purged { events: deleted, conflicts, quarantined, more } }
    }

    /// Returns which of all events need not be kept, the oldest of each state first.
    fn expired_events<'a>(
        &self,
        events: impl IntoIterator<Item = &'a StoredEvent>,
        now: Timestamp,
    ) -> Vec<RowId> {
        let mut settled: BTreeMap<EventState, BTreeMap<RowId, (Timestamp, Timestamp)>> = BTreeMap::new();
        for event in events {
            if let Some(at) = event.settled_at {
                settled.entry(event.state).or_default().insert(event.id, (at, event.received_at));
            }
        }
        let keys_before = self.keys_before(now);
        let of_state = |(state, events): (&EventState, &BTreeMap<RowId, (Timestamp, Timestamp)>)| {
            let mut ids = self.events(*state).expired(events.iter().map(|(id, (at, _))| (*at, *id)), now);
            // Only a stored key shows that a signed request was sent before.
            ids.retain(|id| events.get(id).is_some_and(|(_, received_at)| *received_at < keys_before));
            ids
        };
        settled.iter().flat_map(of_state).collect()
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

/// What a purge deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expired {
    /// The rows of events, conflicts, attempts and quarantine.
    pub rows: HashSet<RowId>,
    /// How many there are of each kind, and whether there are more.
    pub purged: Purged,
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
