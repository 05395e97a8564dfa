//! The rows of watched sessions and their gaps in memory.

use std::collections::BTreeMap;

use crate::id::{Fqn, SessionId};
use crate::store::{Retention, RowId, StoreError};
use crate::timestamp::Timestamp;
use crate::watch::sighting::{Seen, Sighting};
use crate::watch::store::{GapChange, GapRecord, GapState, NewSightings, SessionLease};

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
    /// The rows of its gaps.
    pub(super) gaps: Vec<RowId>,
}

impl SessionRow {
    fn new(new: &NewSightings) -> Self {
        Self {
            fqn: new.fqn.clone(),
            sightings: BTreeMap::new(),
            last_seen_at: new.now,
            version: 0,
            due_at: None,
            fence: 0,
            gaps: Vec::new(),
        }
    }

    /// Something was recorded of it: it is due at the earlier time, or now if it has an open gap.
    fn recorded(&mut self, new: &NewSightings, gaps: &BTreeMap<RowId, GapRecord>) {
        let is_open = |id: &RowId| gaps.get(id).is_some_and(|gap| gap.state == GapState::Open);
        let due_at = if self.gaps.iter().any(is_open) { new.now } else { new.due_at };
        self.last_seen_at = self.last_seen_at.max(new.now);
        self.version += 1;
        self.due_at = Some(self.due_at.map_or(due_at, |known| known.min(due_at)));
    }
}

impl WatchedSessions {
    pub(super) fn record(&mut self, new: &NewSightings) -> usize {
        let row = self.sessions.entry(new.session.clone()).or_insert_with(|| SessionRow::new(new));
        let before = row.sightings.len();
        for sighting in &new.sightings {
            let slot = (sighting.what, sighting.slot.clone());
            row.sightings.entry(slot).or_insert_with(|| sighting.clone());
        }
        let added = row.sightings.len() - before;
        if added > 0 {
            row.recorded(new, &self.gaps);
        }
        added
    }

    pub(super) fn record_endpoint(&mut self, new: &NewSightings, forget_before: Timestamp) {
        let row = self.sessions.entry(new.session.clone()).or_insert_with(|| SessionRow::new(new));
        for sighting in &new.sightings {
            let slot = (sighting.what, sighting.slot.clone());
            let known = row.sightings.entry(slot).or_insert_with(|| sighting.clone());
            known.at = known.at.max(sighting.at);
        }
        row.sightings.retain(|_, sighting| sighting.at >= forget_before);
        row.recorded(new, &self.gaps);
    }

    /// The session, if this claim of it is held.
    fn held(&mut self, lease: &SessionLease) -> Result<&mut SessionRow, StoreError> {
        let row = self.sessions.get_mut(&lease.session).filter(|row| row.fence == lease.fence);
        row.ok_or_else(|| StoreError::stale_audit(&lease.session))
    }

    /// The gaps of a session, oldest row first.
    pub(super) fn gaps_of(&self, session: &SessionId) -> impl Iterator<Item = &GapRecord> {
        let rows = self.sessions.get(session).into_iter().flat_map(|row| &row.gaps);
        rows.filter_map(|id| self.gaps.get(id))
    }

    /// Applies a change; returns its row and how it was. A gap that is found gets this number.
    pub(super) fn change(
        &mut self,
        lease: &SessionLease,
        change: &GapChange,
        now: Timestamp,
        number: RowId,
    ) -> Result<(RowId, Option<GapRecord>), StoreError> {
        self.held(lease)?;
        let stale = || StoreError::stale_audit(&lease.session);
        match change {
            GapChange::Found(gap) => {
                let is_same =
                    |known: &GapRecord| (known.gap.rule, &known.gap.subject) == (gap.rule, &gap.subject);
                if self.gaps_of(&lease.session).any(is_same) {
                    return Err(stale());
                }
                self.held(lease)?.gaps.push(number);
                self.gaps.insert(number, GapRecord::new(number, gap.clone(), now, None));
                Ok((number, None))
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
        for gap in self.sessions.remove(session).into_iter().flat_map(|row| row.gaps) {
            self.gaps.remove(&gap);
        }
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
