//! The rows of watched sessions and their gaps in memory.

use std::collections::BTreeMap;

use crate::id::{Fqn, SessionId};
use crate::store::{Retention, RowId, StoreError};
use crate::timestamp::Timestamp;
use crate::watch::store::{GapChange, GapRecord, GapState, NewSightings, SessionLease};
use crate::watch::sighting::{Seen, Sighting};

/// The rows.
#[derive(Debug, Default)]
pub(super) struct WatchedSessions {
    pub(super) sessions: BTreeMap<SessionId, SessionRow>,
    pub(super) gaps: BTreeMap<RowId, GapRecord>,
}

#[derive(Debug)]
pub(super) struct SessionRow {
    pub(super) fqn: Fqn,
    pub(super) sightings: BTreeMap<(Seen, String), Sighting>,
    pub(super) last_seen_at: Timestamp,
    pub(super) version: i64,
    pub(super) due_at: Option<Timestamp>,
    pub(super) fence: i64,
}

impl WatchedSessions {
    pub(super) fn record(&mut self, new: &NewSightings) -> usize {
        let has_open_gap = self.gaps.values().any(|gap| is_open_in(gap, &new.session));
        let row = self.sessions.entry(new.session.clone());
        let row = row.or_insert_with(|| SessionRow {
            fqn: new.fqn.clone(),
            sightings: BTreeMap::new(),
            last_seen_at: new.now,
            version: 0,
            due_at: None,
            fence: 0,
        });
        let before = row.sightings.len();
        for sighting in &new.sightings {
            let slot = (sighting.what, sighting.slot.clone());
            row.sightings.entry(slot).or_insert_with(|| sighting.clone());
        }
        let added = row.sightings.len() - before;
        if added > 0 {
            let due_at = if has_open_gap { new.now } else { new.due_at };
            row.last_seen_at = row.last_seen_at.max(new.now);
            row.version += 1;
            row.due_at = Some(row.due_at.map_or(due_at, |known| known.min(due_at)));
        }
        added
    }

    /// The session, if this claim of it is held.
    pub(super) fn held(&self, lease: &SessionLease) -> Result<(), StoreError> {
        let row = self.sessions.get(&lease.session).filter(|row| row.fence == lease.fence);
        row.map(|_| ()).ok_or_else(|| StoreError::stale_audit(&lease.session))
    }

    /// Applies a change; returns its row and how it was.
    pub(super) fn change(
        &mut self,
        lease: &SessionLease,
        change: &GapChange,
        now: Timestamp,
        id: RowId,
    ) -> Result<(RowId, Option<GapRecord>), StoreError> {
        self.held(lease)?;
        let stale = || StoreError::stale_audit(&lease.session);
        match change {
            GapChange::Found(gap) => {
                let is_same = |known: &GapRecord| {
                    (&known.gap.session_id, known.gap.rule, &known.gap.subject)
                        == (&gap.session_id, gap.rule, &gap.subject)
                };
                if self.gaps.values().any(is_same) {
                    return Err(stale());
                }
                self.gaps.insert(id, GapRecord::new(id, gap.clone(), now, None));
                Ok((id, None))
            }
            GapChange::Closed(id) => {
                let open = self.gaps.get_mut(id).filter(|record| record.state == GapState::Open);
                let record = open.ok_or_else(stale)?;
                let before = record.clone();
                *record = GapRecord::new(*id, before.gap.clone(), before.found_at, Some(now));
                Ok((*id, Some(before)))
            }
        }
    }

    pub(super) fn erase(&mut self, session: &SessionId) {
        self.sessions.remove(session);
        self.gaps.retain(|_, gap| gap.gap.session_id != *session);
    }

    /// Deletes up to `limit` sessions that are settled and old; returns whether there are more.
    pub(super) fn purge(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> bool {
        let Some(before) = retention.sessions_before(now) else { return false };
        let old = self.sessions.iter().filter(|(_, row)| row.due_at.is_none() && row.last_seen_at < before);
        let old: Vec<SessionId> = old.map(|(session, _)| session.clone()).collect();
        old.iter().take(limit).for_each(|session| self.erase(session));
        old.len() > limit
    }
}

fn is_open_in(record: &GapRecord, session: &SessionId) -> bool {
    record.state == GapState::Open && record.gap.session_id == *session
}
