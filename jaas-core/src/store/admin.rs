//! Inspects what a store holds, and repairs it.

use async_trait::async_trait;

use super::dead_lettered::group_dead_letters;
use super::{
    Activity, Attempt, AttemptQuery, AuditAction, AuditEntry, AuditNote, Conflict, DeadLetterGroup,
    DeadLetterKey, EventQuery, EventState, EventStore, Page, PageRequest, Purged, QuarantineReplay,
    Quarantined, QueueState, Retention, RowId, StoreError, StoreErrorKind, StoreStats, StoredEvent, TxWork,
};
use crate::handler::HandlerResult;
use crate::id::SessionId;
use crate::timestamp::Timestamp;

/// What operators need of an inbox: to list, count, replay, discard, erase and purge.
///
/// A store is useful without it; [`Monitor`](crate::Monitor), [`Purger`](crate::Purger) and pages for operators need
/// it. Some methods are provided in terms of others, for stores in which that is quick enough; a database with indexes
/// writes its own. Every method may return the errors that [`EventStore`] names, and the rules for implementors are the same.
#[async_trait]
pub trait EventAdmin: EventStore {
    /// Lists events in the order of their rows.
    ///
    /// A store may end a page after it has looked at many rows that do not match: then the page has fewer events than
    /// its limit, or none, and yet [`Page::next`]. Only without `next` there are no more.
    ///
    /// # Behavior
    /// - `events_are_listed_in_pages`: following [`Page::next`] shows each event once, oldest first or
    ///   [newest first](PageRequest::newest_first).
    /// - `events_are_filtered_by_every_field_of_the_query`.
    /// - `events_of_a_key_are_listed_from_every_endpoint`, when the query names no endpoint.
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError>;

    /// Finds the event of this row; `None` when it does not exist or was purged.
    ///
    /// # Behavior
    /// - `event_is_found_by_its_row`.
    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>, StoreError>;

    /// Returns the queue in which an event waits or runs; `None` when it is settled or does not exist.
    ///
    /// # Behavior
    /// - `queue_of_an_event_shows_what_runs_and_what_is_next`.
    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, StoreError>;

    /// Lists deliveries whose key was already used with another body, in the order of their rows.
    ///
    /// # Behavior
    /// - `conflicts_are_listed_in_pages`: one row per key and body; repetitions only increment a count.
    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError>;

    /// Lists the conflicts with the key of an event, in the order of their rows; none for an event that does not exist.
    ///
    /// The provided method looks at all conflicts.
    ///
    /// # Behavior
    /// - `conflicts_of_an_event_are_listed_in_pages`: only those of its endpoint and key.
    async fn conflicts_of(&self, event: RowId, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let Some(event) = self.event(event).await? else { return Ok(Page::empty()) };
        let (list, fits) = (|page| self.conflicts(page), |conflict: &Conflict| conflict.is_of(&event));
        filtered(page, list, fits, |conflict| conflict.id).await
    }

    /// Lists the quarantine, in the order of the rows.
    ///
    /// # Behavior
    /// - `quarantined_are_listed_in_pages`.
    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError>;

    /// Lists the attempts that did not succeed, in the order of their rows. A successful attempt is recorded in its
    /// event.
    ///
    /// # Behavior
    /// - `attempts_distinguish_failures_crashes_and_interruptions`.
    /// - `attempts_are_listed_in_pages`, and filtered by every field of the query.
    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError>;

    /// Groups the newest [`DeadLetterGroup::MAX_EVENTS`] dead letters by event type and error, the most frequent first; at
    /// most [`DeadLetterGroup::MAX_GROUPS`].
    ///
    /// The provided method lists them with their bodies.
    ///
    /// # Behavior
    /// - `dead_letters_are_grouped_by_type_and_error`, both compared byte for byte. The [key](EventQuery::dead_letter)
    ///   of a group finds, replays and discards its events.
    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        let mut page = PageRequest { limit: PageRequest::MAX_LIMIT, ..PageRequest::newest() };
        let mut dead = Vec::new();
        loop {
            let query = EventQuery { state: Some(EventState::Dead), page, ..EventQuery::default() };
            let Page { items, next } = self.events(&query).await?;
            let at = |event: &StoredEvent| event.settled_at.unwrap_or(event.received_at);
            dead.extend(items.iter().map(|event| (DeadLetterKey::of(event), at(event))));
            page.after = next;
            if next.is_none() || dead.len() >= DeadLetterGroup::MAX_EVENTS {
                dead.truncate(DeadLetterGroup::MAX_EVENTS);
                return Ok(group_dead_letters(dead));
            }
        }
    }

    /// Makes a settled event wait again, as if new, with its counts at zero. Handlers of a dead or discarded event that
    /// had already succeeded do not run again; those of a done event do.
    ///
    /// # Behavior
    /// - `replay_runs_a_settled_event_again`, and wakes waiting workers.
    /// - `replay_refuses_an_event_that_is_not_settled`: [`NotSettled`](super::StoreErrorKind::NotSettled),
    ///   [`NotFound`](super::StoreErrorKind::NotFound) for an event that does not exist, and
    ///   [`Erased`](super::StoreErrorKind::Erased) for an event without its body.
    /// - `replay_is_audited`.
    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;

    /// Replays every settled event of one page of this query, and passes over the other events of the page and those
    /// without a body. Returns the replayed rows, and where the next page starts.
    ///
    /// The provided method lists the page and replays its events one by one. If an error ends it, or its caller is gone, the
    /// events before that are replayed, and a second call goes on with the others.
    ///
    /// # Behavior
    /// - `replay_matching_replays_the_settled_events_of_a_page`.
    /// - `replay_matching_refuses_an_empty_query`: [`EmptyQuery`](super::StoreErrorKind::EmptyQuery).
    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        repair_page(self, AuditAction::Replayed, query, audit, now).await
    }

    /// Parses the bodies of one page of the [quarantine](EventAdmin::quarantined) again, since a newer version of this
    /// library may be able to. Bodies that parse now are accepted exactly as [`accept`](EventStore::accept) would, and
    /// leave the quarantine in the same transaction; the others stay. A store may look at fewer bodies than the page
    /// asks for, but at least one. Returns how many of each there were, and where the next page starts.
    ///
    /// # Behavior
    /// - `replay_quarantined_accepts_what_can_be_parsed_now`: the event counts as received when it first came. A known
    ///   key makes it a duplicate or a conflict. A body that cannot be parsed stays as it was.
    /// - `replay_quarantined_is_audited`, as a replay of the event that has the key, and wakes waiting workers.
    /// - `replay_quarantined_goes_by_pages`.
    async fn replay_quarantined(
        &self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, StoreError>;

    /// Discards an event that waits, is ignored or is dead: it does not run again unless it is replayed.
    ///
    /// # Behavior
    /// - `discard_settles_an_event_and_is_audited`: its note is the reason. Waiting workers are woken, because the
    ///   event may have held back others of its session.
    /// - `discard_lets_later_events_of_the_session_run`.
    /// - `discard_refuses_an_event_that_runs_or_is_done`, or was discarded before:
    ///   [`NotDiscardable`](super::StoreErrorKind::NotDiscardable), and [`NotFound`](super::StoreErrorKind::NotFound)
    ///   for an event that does not exist.
    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;

    /// Discards every event of one page of this query that waits, is ignored or is dead, and passes over the others of
    /// the page. Returns the discarded rows, and where the next page starts.
    ///
    /// The provided method lists the page and discards its events one by one. If an error ends it, or its caller is gone, the
    /// events before that are discarded, and a second call goes on with the others.
    ///
    /// # Behavior
    /// - `discard_matching_discards_the_events_of_a_page`.
    /// - `discard_matching_refuses_an_empty_query`: [`EmptyQuery`](super::StoreErrorKind::EmptyQuery).
    async fn discard_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        repair_page(self, AuditAction::Discarded, query, audit, now).await
    }

    /// Runs `work` in a transaction that is rolled back, whatever the work returns: to see what handlers would do with
    /// an event in any state, without a lease. Effects outside the transaction are not undone. See
    /// [`Handlers::rehearse`](crate::Handlers::rehearse). It is not in the audit until
    /// [`record_rehearsal`](EventAdmin::record_rehearsal) records it.
    ///
    /// # Behavior
    /// - `rehearse_rolls_back_the_writes_of_the_work`, and returns the result of the work.
    async fn rehearse(&self, work: TxWork<Self::Tx>) -> Result<HandlerResult, StoreError>;

    /// Records that an operator looked at the body of an event.
    ///
    /// # Behavior
    /// - `reveal_is_audited`: [`NotFound`](super::StoreErrorKind::NotFound) for an event that does not exist.
    async fn reveal(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;

    /// Records that an operator rehearsed the handlers of an event. The note's reason has what became of it; it stays
    /// when the event is erased, so it must not hold the text of an error.
    ///
    /// # Behavior
    /// - `rehearsal_is_audited`: [`NotFound`](super::StoreErrorKind::NotFound) for an event that does not exist.
    async fn record_rehearsal(
        &self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Lists what operators did to events, in the order of the entries. Entries stay when their events are purged.
    ///
    /// # Behavior
    /// - `audit_is_listed_in_pages`.
    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError>;

    /// Lists what operators did to an event, in the order of the entries, also after it was purged.
    ///
    /// The provided method looks at the whole audit.
    ///
    /// # Behavior
    /// - `audit_of_an_event_is_listed_in_pages`.
    async fn audit_of(&self, event: RowId, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        filtered(page, |page| self.audit(page), |entry| entry.event == event, |entry| entry.id).await
    }

    /// Deletes what `retention` does not keep, at most `limit` rows of each kind. With an event it deletes the event's
    /// attempts and conflicts.
    ///
    /// # Behavior
    /// - `purge_deletes_by_age_and_state`, in batches.
    /// - `purge_deletes_beyond_a_count`: of each state the events that were settled first, of conflicts and quarantine
    ///   the rows that were last received longest ago.
    /// - `purge_keeps_keys_as_long_as_signatures_are_valid`: see [`Retention::builder`].
    /// - `purge_leaves_what_is_not_settled`.
    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError>;

    /// Erases what the events of a session hold: bodies, those of their conflicts, notes and error texts, and the
    /// `tracestate` of their traces. Their keys stay, so a late repetition is still a duplicate, or the same conflict,
    /// and its body does not come back. A second call erases what has come since. Waiting events are discarded. Returns
    /// how many events this call erased. While one of them runs nothing is erased, and the error is
    /// [`NotSettled`](super::StoreErrorKind::NotSettled): try again later.
    ///
    /// # Behavior
    /// - `erase_session_removes_bodies_and_keeps_keys`, and is audited.
    /// - `erase_session_discards_what_waits_and_refuses_while_one_runs`.
    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Returns counts and ages per state. It costs the same however many events the store holds, so it can be polled.
    ///
    /// # Behavior
    /// - `stats_count_every_state`.
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Records how much was accepted and settled so far, for [`activity`](EventAdmin::activity), unless that was
    /// recorded in this minute before, and deletes records that are older than [`Activity::KEPT`]. It costs the same
    /// however many events the store holds. [`Monitor`](crate::Monitor) calls it once a minute.
    ///
    /// # Behavior
    /// - `activity_is_recorded_once_a_minute`, whichever process records it.
    /// - `activity_is_kept_for_two_days`.
    async fn record_activity(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Returns what happened between the records that were made at `since` or later, and at `until` or before: usually
    /// one row for each minute, the earliest first. If there are more than [`Activity::MAX_ROWS`], the newest of them.
    ///
    /// # Behavior
    /// - `activity_counts_what_happened_between_records`, and replaying, discarding and purging do not make it less.
    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>, StoreError>;
}

const _: fn(&dyn EventAdmin<Tx = ()>) = |_| {};

/// Lists the rows of one page that fit, from pages of all rows.
async fn filtered<T, F: Future<Output = Result<Page<T>, StoreError>>>(
    page: PageRequest,
    list: impl Fn(PageRequest) -> F,
    fits: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> RowId,
) -> Result<Page<T>, StoreError> {
    let (limit, mut rows) = (page.clamped_limit(), Vec::new());
    let mut all = PageRequest { limit: PageRequest::MAX_LIMIT, ..page };
    loop {
        let Page { items, next } = list(all).await?;
        rows.extend(items.into_iter().filter(&fits));
        if next.is_none() || rows.len() > limit {
            return Ok(Page::from_rows(rows, limit, id));
        }
        all.after = next;
    }
}

/// Replays or discards the events of a page one by one, and passes over those whose state does not allow it.
async fn repair_page<S: EventAdmin + ?Sized>(
    store: &S,
    action: AuditAction,
    query: &EventQuery,
    audit: &AuditNote,
    now: Timestamp,
) -> Result<Page<RowId>, StoreError> {
    use StoreErrorKind::{Erased, NotDiscardable, NotFound, NotSettled};
    if query.is_empty() {
        return Err(StoreError::empty_query());
    }
    let page = store.events(query).await?;
    let mut done = Page { items: Vec::new(), next: page.next };
    for StoredEvent { id, .. } in page.items {
        let repaired = match action {
            AuditAction::Discarded => store.discard(id, audit, now).await,
            _ => store.replay(id, audit, now).await,
        };
        match repaired {
            Ok(()) => done.items.push(id),
            Err(error) if matches!(error.kind(), NotFound | NotSettled | NotDiscardable | Erased) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
