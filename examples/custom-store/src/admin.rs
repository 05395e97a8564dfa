//! Looking and repairing. Lists look at every row of their kind.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use jaas_core::store::tools::{ActivitySample, group_dead_letters};
use jaas_core::store::*;
use jaas_core::telemetry::TraceContext;
use jaas_core::{Body, Delivery, HandlerResult, IdempotencyKey, SessionId, Timestamp};
use redb::{ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use crate::rows::*;
use crate::store::{RedbStore, Result, Transaction};

type AuditRow = (RowId, Arc<str>, IdempotencyKey, String, Arc<str>, Arc<str>, Timestamp);

fn matches(query: &EventQuery, event: &StoredEvent) -> bool {
    fn fits<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == is)
    }
    let dead_letter = DeadLetterKey { event_type: event.event_type.clone(), error: event.note.clone() };
    fits(query.state.as_ref(), &event.state)
        && fits(query.event_type.as_ref(), &event.event_type)
        && fits(query.idempotency_key.as_ref(), &event.idempotency_key)
        && fits(query.fqn.as_ref(), &event.fqn)
        && fits(query.endpoint.as_ref(), &event.endpoint)
        && (query.session_id.is_none() || query.session_id == event.session_id)
        && query.from.is_none_or(|from| event.occurred_at >= from)
        && query.until.is_none_or(|until| event.occurred_at < until)
        && (query.dead_letter.is_none() || event.state == EventState::Dead)
        && fits(query.dead_letter.as_ref(), &dead_letter)
}

/// Returns the rows to purge: those beyond the count and those beyond the age to keep, oldest first. Each row comes with the
/// time that counts, and whether it may be deleted at all.
fn expired(mut rows: Vec<(Timestamp, RowId, bool)>, keep: Keep, now: Timestamp) -> Vec<RowId> {
    rows.sort_unstable();
    let kept = keep.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let surplus = rows.len().saturating_sub(kept);
    let too_old = |at: Timestamp| keep.age.is_some_and(|age| at < now.saturating_sub(age));
    let is_expired = |(place, &(at, id, may_go))| (may_go && (place < surplus || too_old(at))).then_some(id);
    rows.iter().enumerate().filter_map(is_expired).collect()
}

/// Returns a page of bodies that are not events.
fn seen<T>(
    tables: &ReadTransaction,
    table: Rows,
    matches: impl Fn(&Seen) -> bool,
    page: PageRequest,
    row: impl Fn(RowId, Seen, Body) -> T,
) -> Outcome<Page<T>> {
    let mut rows = all(&tables.open_table(table)?, |id, json| Ok((id, serde_json::from_slice(json)?)))?;
    rows.retain(|(_, row)| matches(row));
    let Page { items, next } = cut(rows, page, |(id, _)| *id);
    let bodies = tables.open_table(BODIES)?;
    let items = items.into_iter().map(|(id, seen)| Ok(row(id, seen, body(&bodies, id)?)));
    Ok(Page { items: items.collect::<Outcome<_>>()?, next })
}

fn conflict(id: RowId, (endpoint, key, first_at, last_at, seen): Seen, body: Body) -> Conflict {
    let mut conflict = Conflict::new(id, endpoint, key.into(), first_at, body);
    (conflict.last_received_at, conflict.seen) = (last_at, seen);
    conflict
}

/// Returns a page of the audit.
fn audit(
    tables: &ReadTransaction,
    page: PageRequest,
    matches: impl Fn(&AuditEntry) -> bool,
) -> Outcome<Page<AuditEntry>> {
    let mut rows = all(&tables.open_table(AUDIT)?, |id, json| {
        let (event, endpoint, key, action, by, reason, at): AuditRow = serde_json::from_slice(json)?;
        let (action, note) = (named(AuditAction::from_name(&action), &action)?, AuditNote { by, reason });
        Ok(AuditEntry::new(id, event, (endpoint, key), action, note, at))
    })?;
    rows.retain(matches);
    Ok(cut(rows, page, |row| row.id))
}

/// What an operator does, why and when.
type Deed<'a> = (AuditAction, &'a AuditNote, Timestamp);

impl Change {
    fn audit(&self, event: &StoredEvent, (action, note, at): Deed<'_>) -> Outcome<()> {
        let StoredEvent { id, endpoint, idempotency_key, .. } = event;
        let AuditNote { by, reason } = note;
        self.put(AUDIT, self.next_id()?, &(id, endpoint, idempotency_key, action.as_str(), by, reason, at))
    }

    /// Records what was done to an event without changing it.
    fn looked_at(&self, id: RowId, deed: Deed<'_>) -> Outcome<()> {
        self.audit(&self.row(id)?.event, deed)
    }

    /// Replays or discards an event. If it refuses, it has changed nothing.
    fn repair(&self, id: RowId, deed: Deed<'_>) -> Outcome<()> {
        let (mut row, (action, note, now)) = (self.row(id)?, deed);
        match (action, row.event.state) {
            (AuditAction::Discarded, EventState::Waiting | EventState::Ignored | EventState::Dead) => {
                row.settle(EventState::Discarded, note.reason.to_string(), now);
            }
            (AuditAction::Discarded, state) => return Err(StoreError::not_discardable(id, state).into()),
            (_, state) if !state.is_settled() => return Err(StoreError::not_settled(id, state).into()),
            _ if row.event.erased_at.is_some() => return Err(StoreError::erased(id).into()),
            (_, state) => {
                let event = &mut row.event;
                if state == EventState::Done {
                    event.completed.clear();
                }
                (event.failures, event.crashes, event.interruptions) = (0, 0, 0);
                (event.state, event.due_at) = (EventState::Waiting, now);
                (event.settled_at, event.note, row.passable) = (None, None, false);
            }
        }
        self.audit(&row.event, deed)?;
        self.wait(&row, now)
    }

    fn replay_quarantined(
        &self,
        page: PageRequest,
        note: &AuditNote,
        now: Timestamp,
    ) -> Outcome<QuarantineReplay> {
        let mut replayed = QuarantineReplay::default();
        let rows = all(&self.tables.open_table(QUARANTINE)?, |id, json| {
            Ok((id, serde_json::from_slice::<Seen>(json)?))
        })?;
        let page = cut(rows, page, |(id, _)| *id);
        replayed.next = page.next;
        for (id, (endpoint, _, first_at, ..)) in page.items {
            let body = body(&self.tables.open_table(BODIES)?, id)?;
            let Ok(delivery) = Delivery::parse(endpoint.clone(), first_at, (*body).clone()) else {
                replayed.unreadable += 1;
                continue;
            };
            let key = delivery.envelope.idempotency_key.clone();
            replayed.count(self.accept(delivery)?);
            self.delete(QUARANTINE, &[id])?;
            if let Some(event) = self.known((&endpoint, key.as_str(), &[]))? {
                self.audit(&self.row(event)?.event, (AuditAction::Replayed, note, now))?;
            }
        }
        Ok(replayed)
    }

    fn repair_page(&self, query: &EventQuery, deed: Deed<'_>) -> Outcome<Page<RowId>> {
        if query.is_empty() {
            return Err(StoreError::empty_query().into());
        }
        let matching = self.rows()?.into_iter().map(|row| row.event).filter(|event| matches(query, event));
        let page = cut(matching.map(|event| event.id).collect(), query.page, |id| *id);
        let mut repaired = Page { items: Vec::new(), next: page.next };
        for id in page.items {
            match self.repair(id, deed) {
                Err(fault) if !fault.is::<StoreError>() => return Err(fault),
                done => repaired.items.extend(done.is_ok().then_some(id)),
            }
        }
        Ok(repaired)
    }

    fn purge(&self, retention: &Retention, now: Timestamp, limit: usize) -> Outcome<Purged> {
        let (rows, mut expired_events) = (self.rows()?, Vec::new());
        for state in EventState::ALL {
            let events = rows.iter().map(|row| &row.event).filter(|event| event.state == state);
            // Only a stored key shows that a signed request was sent before.
            let may_go = |event: &StoredEvent| event.received_at < retention.keys_before(now);
            let ages = events.filter_map(|event| Some((event.settled_at?, event.id, may_go(event))));
            expired_events.extend(expired(ages.collect(), retention.events(state), now));
        }
        for id in expired_events.iter().take(limit) {
            self.delete(CONFLICTS, &self.conflicts_of(&self.row(*id)?.event)?)?;
        }
        let purge = |table, mut ids: Vec<RowId>| -> Outcome<(u64, bool)> {
            let more = ids.len() > limit;
            ids.truncate(limit);
            self.delete(table, &ids)?;
            Ok((ids.len() as u64, more))
        };
        let purge_seen = |table, keep| {
            let ages = all(&self.tables.open_table(table)?, |id, json| {
                Ok((serde_json::from_slice::<Seen>(json)?.3, id, true))
            });
            purge(table, expired(ages?, keep, now))
        };
        let events = purge(EVENTS, expired_events)?;
        let conflicts = purge_seen(CONFLICTS, retention.conflicts())?;
        let quarantined = purge_seen(QUARANTINE, retention.quarantined())?;
        Ok(Purged::new(events.0, conflicts.0, quarantined.0, events.1 || conflicts.1 || quarantined.1))
    }

    fn erase(&self, session: &SessionId, note: &AuditNote, now: Timestamp) -> Outcome<u64> {
        let rows = self.rows()?.into_iter().filter(|row| row.event.session_id.as_ref() == Some(session));
        let rows: Vec<Row> = rows.collect();
        let running = rows.iter().filter(|row| row.event.state == EventState::Running).count() as u64;
        if running > 0 {
            return Err(StoreError::some_are_running(running).into());
        }
        let mut erased = 0;
        for mut row in rows {
            let mut bodies = self.conflicts_of(&row.event)?;
            if row.event.erased_at.is_none() {
                bodies.push(row.event.id);
                if row.event.state == EventState::Waiting {
                    row.settle(EventState::Discarded, None, now);
                }
                row.attempts.iter_mut().for_each(|attempt| attempt.error = None);
                let trace = row.event.trace.as_ref();
                row.event.trace = trace.and_then(|trace| TraceContext::parse(trace.traceparent(), None));
                (row.event.note, row.event.erased_at) = (None, Some(now));
                self.audit(&row.event, (AuditAction::Erased, note, now))?;
                self.wait(&row, now)?;
                erased += 1;
            }
            for id in bodies {
                self.tables.open_table(BODIES)?.remove(id.get())?;
            }
        }
        Ok(erased)
    }

    fn record_activity(&self, now: Timestamp) -> Outcome<()> {
        let mut samples = self.tables.open_table(SAMPLES)?;
        let oldest = ActivitySample::minute(now.saturating_sub(Activity::KEPT));
        samples.retain(|minute, _| minute >= oldest)?;
        let minute = ActivitySample::minute(now);
        if samples.get(minute)?.is_some() {
            return Ok(());
        }
        let ever = self.tables.open_table(EVER)?;
        let of = |what| Outcome::Ok(ever.get(what)?.map_or(0, |amount| amount.value()));
        let mut waiting = 0;
        for state in [EventState::Waiting, EventState::Running] {
            waiting += self.tables.open_table(Numbers::new(&of_state(state)))?.len()?;
        }
        let sample = (now, of("accepted")?, of("settled")?, of("failed")?, of("dead")?, waiting);
        samples.insert(minute, &*serde_json::to_vec(&sample)?)?;
        Ok(())
    }

    fn rows(&self) -> Outcome<Vec<Row>> {
        all(&self.tables.open_table(EVENTS)?, Row::from_json)
    }

    fn conflicts_of(&self, event: &StoredEvent) -> Outcome<Vec<RowId>> {
        let (endpoint, key) = (&*event.endpoint, event.idempotency_key.as_str());
        let keys = self.tables.open_table(KEYS)?;
        let conflicts = keys.range((endpoint, key, &[0][..])..(endpoint, key, &[u8::MAX; 33][..]))?;
        conflicts.map(|row| Ok(RowId::new(row?.1.value()))).collect()
    }
}

#[async_trait]
impl EventAdmin for RedbStore {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>> {
        let query = query.clone();
        self.read(move |tables| {
            let rows = all(&tables.open_table(EVENTS)?, Row::from_json)?.into_iter().map(|row| row.event);
            let events = rows.filter(|event| matches(&query, event)).collect();
            let mut page = cut(events, query.page, |event: &StoredEvent| event.id);
            for event in &mut page.items {
                event.body = body(&tables.open_table(BODIES)?, event.id)?;
            }
            Ok(page)
        })
        .await
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>> {
        self.read(move |tables| {
            let events = tables.open_table(EVENTS)?;
            let Some(json) = events.get(event.get())? else { return Ok(None) };
            let mut found = Row::from_json(event, json.value())?.event;
            found.body = body(&tables.open_table(BODIES)?, event)?;
            Ok(Some(found))
        })
        .await
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>> {
        self.write(move |change| change.queue_of(event)).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>> {
        self.read(move |tables| seen(tables, CONFLICTS, |_| true, page, conflict)).await
    }

    async fn conflicts_of(&self, event: RowId, page: PageRequest) -> Result<Page<Conflict>> {
        self.read(move |tables| {
            let events = tables.open_table(EVENTS)?;
            let Some(json) = events.get(event.get())? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let event = Row::from_json(event, json.value())?.event;
            let same_key = |of: &Seen| *of.0 == *event.endpoint && event.idempotency_key == *of.1;
            seen(tables, CONFLICTS, same_key, page, conflict)
        })
        .await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>> {
        self.read(move |tables| {
            seen(
                tables,
                QUARANTINE,
                |_| true,
                page,
                |id, (endpoint, reason, first_at, last_at, seen), body| {
                    let mut quarantined = Quarantined::new(id, endpoint, reason, first_at, body);
                    (quarantined.last_received_at, quarantined.seen) = (last_at, seen);
                    quarantined
                },
            )
        })
        .await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>> {
        let query = query.clone();
        self.read(move |tables| {
            let rows = all(&tables.open_table(EVENTS)?, Row::from_json)?;
            let mut attempts: Vec<Attempt> = rows.into_iter().flat_map(|row| row.attempts).collect();
            attempts.retain(|attempt| {
                query.event.is_none_or(|event| attempt.event == event)
                    && query.outcome.is_none_or(|outcome| attempt.outcome == outcome)
            });
            attempts.sort_by_key(|attempt| attempt.id);
            Ok(cut(attempts, query.page, |attempt| attempt.id))
        })
        .await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>> {
        self.read(|tables| {
            let rows = all(&tables.open_table(EVENTS)?, Row::from_json)?;
            let mut events: Vec<StoredEvent> = rows.into_iter().map(|row| row.event).collect();
            events.retain(|event| event.state == EventState::Dead);
            events.sort_by_key(|event| Reverse(event.id));
            Ok(group_dead_letters(events.into_iter().take(DeadLetterGroup::MAX_EVENTS).map(|event| {
                let at = event.settled_at.unwrap_or(event.received_at);
                (DeadLetterKey { event_type: event.event_type, error: event.note }, at)
            })))
        })
        .await
    }

    async fn replay(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        let replayed = self.write(move |change| change.repair(event, (AuditAction::Replayed, &note, now)));
        replayed.await.inspect(|()| self.wake())
    }

    async fn replay_matching(
        &self,
        of: &EventQuery,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>> {
        let (of, note) = (of.clone(), note.clone());
        let replayed = self.write(move |change| change.repair_page(&of, (AuditAction::Replayed, &note, now)));
        replayed.await.inspect(|_| self.wake())
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay> {
        let note = note.clone();
        let replayed = self.write(move |change| change.replay_quarantined(page, &note, now));
        replayed.await.inspect(|_| self.wake())
    }

    async fn discard(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        let discarded = self.write(move |change| change.repair(event, (AuditAction::Discarded, &note, now)));
        discarded.await.inspect(|()| self.wake())
    }

    async fn discard_matching(
        &self,
        of: &EventQuery,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>> {
        let (of, note) = (of.clone(), note.clone());
        let discarded =
            self.write(move |change| change.repair_page(&of, (AuditAction::Discarded, &note, now)));
        discarded.await.inspect(|_| self.wake())
    }

    async fn rehearse(&self, work: TxWork<Transaction>) -> Result<HandlerResult> {
        let mut transaction = Transaction::default();
        let handled = work(&mut transaction).await;
        let rehearsed = self.ask(&self.writers, |database| {
            let tables = database.begin_write()?;
            transaction.apply(&tables)?;
            Ok(tables.abort()?)
        });
        rehearsed.await.map(|()| handled)
    }

    async fn reveal(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.looked_at(event, (AuditAction::Revealed, &note, now))).await
    }

    async fn record_rehearsal(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.looked_at(event, (AuditAction::Rehearsed, &note, now))).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>> {
        self.read(move |tables| audit(tables, page, |_| true)).await
    }

    async fn audit_of(&self, event: RowId, page: PageRequest) -> Result<Page<AuditEntry>> {
        self.read(move |tables| audit(tables, page, |entry| entry.event == event)).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged> {
        let retention = retention.clone();
        self.write(move |change| change.purge(&retention, now, limit as usize)).await
    }

    async fn erase_session(&self, session: &SessionId, note: &AuditNote, now: Timestamp) -> Result<u64> {
        let (session, note) = (session.clone(), note.clone());
        self.write(move |change| change.erase(&session, &note, now)).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        self.read(|tables| {
            let mut stats = StoreStats::default();
            stats.conflicts = tables.open_table(CONFLICTS)?.len()?;
            stats.quarantined = tables.open_table(QUARANTINE)?.len()?;
            for state in EventState::ALL {
                let events = tables.open_table(Numbers::new(&of_state(state)))?;
                let oldest = events.first()?.map(|(_, at)| Timestamp::from_millis(at.value()));
                stats.set(state, StateStats::new(events.len()?, oldest));
            }
            Ok(stats)
        })
        .await
    }

    async fn record_activity(&self, now: Timestamp) -> Result<()> {
        self.write(move |change| change.record_activity(now)).await
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>> {
        self.read(move |tables| {
            let mut samples = all(&tables.open_table(SAMPLES)?, |_, json| {
                let (at, accepted, settled, failed, dead, waiting) = serde_json::from_slice(json)?;
                Ok(ActivitySample { at, accepted, settled, failed, dead, waiting })
            })?;
            samples.retain(|sample| (since.as_millis()..=until.as_millis()).contains(&sample.at));
            samples.drain(..samples.len().saturating_sub(Activity::MAX_ROWS + 1));
            Ok(ActivitySample::between(&samples))
        })
        .await
    }
}
