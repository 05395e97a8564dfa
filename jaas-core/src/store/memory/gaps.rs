//! Watched sessions in memory.

use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use crate::handler::HandlerResult;
use crate::id::SessionId;
use crate::store::{Page, RowId, StoreError, TxWork};
use crate::timestamp::Timestamp;
use crate::watch::rule::Rule;
use crate::watch::store::{
    GapChange, GapCount, GapQuery, GapRecord, GapState, GapStore, NewSightings, SessionClaim,
    SessionClaimRequest, SessionLease, Watched,
};

/// There are no transactions here: what is recorded stays even if the handler fails, and recording it again
/// changes nothing. A gap is there before the work of [`change_gap`](GapStore::change_gap) runs, and goes when that
/// fails.
#[async_trait]
impl GapStore for MemoryStore {
    async fn record_sightings(&self, _: &mut (), new: &NewSightings) -> Result<usize, StoreError> {
        Ok(self.rows().watch.record(new))
    }

    async fn touch_session(
        &self,
        _: &mut (),
        session: &SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let Some(row) = rows.watch.sessions.get_mut(session) else { return Ok(false) };
        let later = row.last_seen_at < now;
        row.last_seen_at = row.last_seen_at.max(now);
        Ok(later)
    }

    async fn record_endpoint(&self, new: &NewSightings, forget_before: Timestamp) -> Result<(), StoreError> {
        self.rows().watch.record_endpoint(new, forget_before);
        Ok(())
    }

    async fn claim_sessions(&self, request: &SessionClaimRequest) -> Result<Vec<SessionClaim>, StoreError> {
        let mut rows = self.rows();
        let due = rows.watch.sessions.iter();
        let due = due.filter_map(|(id, row)| row.due_at.filter(|at| *at <= request.now).map(|at| (at, id)));
        let mut due: Vec<_> = due.map(|(at, session)| (at, session.clone())).collect();
        due.sort_unstable();
        due.truncate(request.limit);
        let mut claims = Vec::with_capacity(due.len());
        for (_, session) in due {
            let Some(row) = rows.watch.sessions.get_mut(&session) else { continue };
            row.fence += 1;
            row.due_at = Some(request.now.saturating_add(request.lease));
            let lease = SessionLease { session, fence: row.fence };
            let (version, fqn, last) = (row.version, row.fqn.clone(), row.last_seen_at);
            claims.push(SessionClaim::new(lease, version, fqn, last, request.now));
        }
        Ok(claims)
    }

    async fn watched(&self, session: &SessionId) -> Result<Watched, StoreError> {
        let rows = self.rows();
        let row = rows.watch.sessions.get(session);
        let sightings = row.map(|row| row.sightings.values().cloned().collect()).unwrap_or_default();
        Ok(Watched::new(sightings, rows.watch.gaps_of(session).cloned().collect()))
    }

    async fn change_gap(
        &self,
        lease: &SessionLease,
        change: &GapChange,
        now: Timestamp,
        work: TxWork<()>,
    ) -> Result<HandlerResult, StoreError> {
        let (id, before) = {
            let mut rows = self.rows();
            let id = rows.new_id();
            rows.watch.change(lease, change, now, id)?
        };
        let mut undo = Undo { store: self, id, before: Some(before) };
        let result = work(&mut ()).await;
        if result.is_ok() {
            undo.before = None;
        }
        Ok(result)
    }

    async fn finish_sessions(
        &self,
        audits: &[(SessionClaim, Option<Timestamp>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for (claim, next) in audits {
            let row = rows.watch.sessions.get_mut(&claim.lease.session);
            if let Some(row) = row.filter(|row| row.fence == claim.lease.fence) {
                row.due_at = if row.version == claim.version { *next } else { Some(now) };
            }
        }
        Ok(())
    }

    async fn next_session(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let rows = self.rows();
        let next = rows.watch.sessions.values().filter_map(|row| row.due_at).min();
        Ok(next.map(|at| at.duration_since(now)))
    }

    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError> {
        let room = query.room.as_ref().map(|fqn| (fqn.app_id().map(str::to_lowercase), fqn.room_key()));
        let is_in_room = |record: &GapRecord| {
            room.as_ref().is_none_or(|(tenant, room)| {
                let fqn = &record.gap.fqn;
                let of_tenant = tenant
                    .as_ref()
                    .is_none_or(|tenant| fqn.app_id().is_some_and(|app| app.to_lowercase() == *tenant));
                of_tenant && fqn.room_key() == *room
            })
        };
        let rows = self.rows();
        let records = rows.watch.gaps.values().filter(|record| {
            query.state.is_none_or(|state| record.state == state)
                && query.rule.is_none_or(|rule| record.gap.rule == rule)
                && query.session_id.as_ref().is_none_or(|session| record.gap.session_id == *session)
                && is_in_room(record)
        });
        let records: Vec<_> = records.cloned().collect();
        Ok(Page::cut(records, query.page, |record| record.id))
    }

    async fn gap_counts(&self) -> Result<Vec<GapCount>, StoreError> {
        let rows = self.rows();
        let count = |rule: Rule| {
            let open = rows.watch.gaps.values().filter(|one| one.state == GapState::Open);
            GapCount::new(rule, open.filter(|one| one.gap.rule == rule).count() as u64)
        };
        Ok(Rule::ALL.map(count).into_iter().filter(|count| count.open > 0).collect())
    }
}

/// Takes a change back when its work has failed or was cut off.
struct Undo<'a> {
    store: &'a MemoryStore,
    id: RowId,
    before: Option<Option<GapRecord>>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else { return };
        let gaps = &mut self.store.rows().watch.gaps;
        match before {
            Some(record) => drop(gaps.insert(self.id, record)),
            None => drop(gaps.remove(&self.id)),
        }
    }
}
