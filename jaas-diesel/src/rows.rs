//! Rows of the tables, and how they become what a store tells.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types;
use jaas_core::store::{
    Attempt, AttemptOutcome, AuditAction, AuditEntry, AuditNote, Burial, Claim, Completion, Conflict,
    EventState, Head, Lease, NextClaim, Page, PageRequest, Quarantined, RowId, SessionOrder, Step,
    StoreError, StoreErrorKind, StoredEvent, Turn,
};
use jaas_core::telemetry::TraceContext;
use jaas_core::{
    Delivery, Fqn, Handled, IdempotencyKey, MAX_INDEXED_BYTES, SessionId, Timestamp, Unreadable,
};

use crate::schema::{jaas_attempts, jaas_audit, jaas_conflicts, jaas_events, jaas_quarantine, jaas_queues};

/// How many bytes go into one commit at most, unless a single event is larger. Servers refuse statements beyond some size.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A new event, owning what the writer needs after the request is gone.
#[derive(Debug, Insertable)]
#[diesel(table_name = jaas_events, treat_none_as_default_value = false)]
pub(crate) struct NewEvent {
    pub(crate) endpoint: String,
    pub(crate) idempotency_key: String,
    pub(crate) event_type: String,
    pub(crate) session_id: Option<String>,
    pub(crate) fqn: String,
    pub(crate) occurred_at: i64,
    pub(crate) received_at: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) trace_context: Option<String>,
    pub(crate) ordering_key: String,
    pub(crate) place: i64,
    state: &'static str,
    completed: &'static str,
    pub(crate) due_at: i64,
    /// For whom it is claimed at once, if that may be.
    #[diesel(skip_insertion)]
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) claimant: Option<Claimant>,
}

/// A worker of this process that has room for an event.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
pub(crate) struct Claimant {
    pub(crate) worker: Arc<str>,
    pub(crate) lease: Duration,
    /// The fence of the claim: a number that no other first claim of the event has, so that this one can be told from
    /// others when the answer to the insert is lost.
    pub(crate) fence: i64,
}

/// What is to be recorded of a session whose handlers have run well.
#[derive(Debug, Clone)]
pub(crate) struct Success {
    /// What is claimed.
    pub(crate) lease: Lease,
    pub(crate) of: SuccessOf,
    /// How to go on in the session when the event that is claimed is settled.
    pub(crate) next: Option<NextClaim>,
}

#[derive(Debug, Clone)]
pub(crate) enum SuccessOf {
    /// Of a handler that is not the event's last.
    Handler(Arc<str>, Handled),
    /// Of all handlers of these events.
    Events(Vec<Completion>),
}

impl Success {
    pub(crate) fn new(lease: Lease, step: &Step, handled: &Handled) -> Self {
        let (handler, handled) = (step.handler.clone(), handled.clone());
        let of = if step.last {
            SuccessOf::Events(vec![Completion { lease, handled: vec![(handler, handled)] }])
        } else {
            SuccessOf::Handler(handler, handled)
        };
        Self { lease, of, next: step.next }
    }

    pub(crate) fn of_all(lease: Lease, completions: &[Completion], next: Option<NextClaim>) -> Self {
        Self { lease, of: SuccessOf::Events(completions.to_vec()), next }
    }

    /// The events that are settled.
    pub(crate) fn events(&self) -> &[Completion] {
        match &self.of {
            SuccessOf::Handler(..) => &[],
            SuccessOf::Events(events) => events,
        }
    }

    /// Whether the event that is claimed is settled.
    pub(crate) fn ends(&self) -> bool {
        self.events().iter().any(|event| event.lease == self.lease)
    }
}

impl NewEvent {
    /// What makes it one event.
    pub(crate) fn key(&self) -> (&str, &str) {
        (&self.endpoint, &self.idempotency_key)
    }

    /// An event to try whether one can be stored. No endpoint is without a name, so no event of a sender has its key; and two
    /// have not the same one, or they would wait for each other.
    pub(crate) fn probe() -> QueryResult<Self> {
        let key = RandomState::new().hash_one(std::thread::current().id());
        // With characters that only a database in UTF-8 takes.
        let (kind, room) = ('\u{2713}', '\u{1f44b}');
        let body = format!(r#"{{"idempotencyKey":"{key:x}","eventType":"{kind}","fqn":"{room}"}}"#);
        let delivery = Delivery::read("", Timestamp::from_millis(0), body.into());
        delivery.map(Self::from).map_err(|unreadable| Error::QueryBuilderError(Box::new(unreadable.reason)))
    }

    /// Whether it is one that was made to try.
    pub(crate) fn is_probe(&self) -> bool {
        self.endpoint.is_empty()
    }

    /// Its claim, given with the insert.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn claim(&self, lease: Lease) -> Claim {
        let received_at = Timestamp::from_millis(self.received_at);
        let mut claim = Claim::new(lease, self.endpoint.as_str().into(), received_at, self.body.clone());
        claim.trace = trace(self.trace_context.as_deref());
        claim
    }
}

/// Whose events are run one after the other: those of its session, or it alone.
fn ordering_key(delivery: &Delivery) -> String {
    use std::fmt::Write as _;
    match &delivery.envelope.session_id {
        Some(session) => ordering_key_of(session),
        None => delivery.body_hash().iter().fold(String::from("e"), |mut key, byte| {
            // Writing into a text cannot fail.
            let _ = write!(key, "{byte:02x}");
            key
        }),
    }
}

/// The ordering key of a session.
pub(crate) fn ordering_key_of(session: &SessionId) -> String {
    format!("s{}", text(session.as_str()))
}

/// A row that was inserted, and its claim if it was asked for and given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inserted {
    pub(crate) lease: Option<Lease>,
}

impl From<Delivery> for NewEvent {
    fn from(delivery: Delivery) -> Self {
        Self {
            endpoint: delivery.endpoint.to_string(),
            occurred_at: delivery.occurred_at().as_millis(),
            received_at: delivery.received_at.as_millis(),
            body: delivery.body().to_vec(),
            body_hash: delivery.body_hash().to_vec(),
            trace_context: delivery.trace.as_ref().map(TraceContext::to_string),
            ordering_key: ordering_key(&delivery),
            place: delivery.occurred_at().as_millis(),
            state: EventState::Waiting.as_str(),
            completed: "",
            due_at: delivery.received_at.as_millis(),
            claimant: None,
            idempotency_key: delivery.envelope.idempotency_key.into_string(),
            event_type: delivery.envelope.event_type,
            session_id: delivery.envelope.session_id.map(SessionId::into_string),
            fqn: indexed(delivery.envelope.fqn.into_string()),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = jaas_conflicts)]
pub(crate) struct NewConflict<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) idempotency_key: &'a str,
    body: &'a [u8],
    pub(crate) body_hash: &'a [u8],
    first_received_at: i64,
    pub(crate) last_received_at: i64,
}

impl<'a> From<&'a NewEvent> for NewConflict<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self {
            endpoint: &event.endpoint,
            idempotency_key: &event.idempotency_key,
            body: &event.body,
            body_hash: &event.body_hash,
            first_received_at: event.received_at,
            last_received_at: event.received_at,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = jaas_quarantine)]
pub(crate) struct NewQuarantined {
    pub(crate) endpoint: String,
    body: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    reason: String,
    first_received_at: i64,
    pub(crate) last_received_at: i64,
}

impl From<Unreadable> for NewQuarantined {
    fn from(unreadable: Unreadable) -> Self {
        Self {
            endpoint: unreadable.endpoint.to_string(),
            body: unreadable.body().to_vec(),
            body_hash: unreadable.body_hash().to_vec(),
            reason: unreadable.reason.to_string(),
            first_received_at: unreadable.received_at.as_millis(),
            last_received_at: unreadable.received_at.as_millis(),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    endpoint: String,
    idempotency_key: String,
    event_type: String,
    session_id: Option<String>,
    fqn: String,
    occurred_at: i64,
    received_at: i64,
    pub(crate) state: String,
    failures: i32,
    crashes: i32,
    interruptions: i32,
    completed: String,
    due_at: i64,
    pub(crate) worker: Option<String>,
    settled_at: Option<i64>,
    note: Option<String>,
    body: Vec<u8>,
    erased_at: Option<i64>,
    trace_context: Option<String>,
}

impl EventRow {
    /// The event as it is while this worker runs it.
    pub(crate) fn running(&mut self, worker: Option<String>) {
        EventState::Running.as_str().clone_into(&mut self.state);
        self.worker = worker;
    }
}

impl TryFrom<EventRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let state = state(row.id, &row.state)?;
        let mut event = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            IdempotencyKey::new(row.idempotency_key),
            Timestamp::from_millis(row.received_at),
            row.body,
        );
        event.event_type = row.event_type;
        event.session_id = row.session_id.map(SessionId::new);
        event.fqn = Fqn::new(row.fqn);
        event.occurred_at = Timestamp::from_millis(row.occurred_at);
        event.state = state;
        event.failures = count(row.failures);
        event.crashes = count(row.crashes);
        event.interruptions = count(row.interruptions);
        event.completed = names(&row.completed);
        event.due_at = Timestamp::from_millis(row.due_at);
        event.settled_at = row.settled_at.map(Timestamp::from_millis);
        event.note = row.note;
        event.worker = row.worker;
        event.erased_at = row.erased_at.map(Timestamp::from_millis);
        event.trace = trace(row.trace_context.as_deref());
        Ok(event)
    }
}

/// An event that now waits in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The key of the queue.
    pub(crate) key: &'a str,
    pub(crate) due_at: i64,
    pub(crate) place: i64,
}

/// What is going on in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its events wait.
    Waiting = 0,
    /// Its events wait, and the one at its head has crashed before.
    Suspect = 1,
    /// One of its events runs.
    Running = 2,
}

/// A row of `jaas_queues` that is locked.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_queues)]
pub(crate) struct QueueRow {
    pub(crate) ordering_key: String,
    pub(crate) due_at: i64,
    pub(crate) head_place: i64,
    pub(crate) event_id: Option<i64>,
    pub(crate) fence: i64,
    pub(crate) worker: Option<String>,
    pub(crate) phase: i16,
    pub(crate) suspect_turn: Option<i16>,
}

/// The columns of a [`QueueRow`].
pub(crate) type QueueColumns = (
    sql_types::Text,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::Nullable<sql_types::BigInt>,
    sql_types::BigInt,
    sql_types::Nullable<sql_types::Text>,
    sql_types::SmallInt,
    sql_types::Nullable<sql_types::SmallInt>,
);

impl QueueRow {
    /// The queue when nothing runs in it.
    pub(crate) fn waiting(self, due_at: i64, suspect: bool) -> Self {
        Self {
            due_at,
            event_id: None,
            fence: 0,
            worker: None,
            phase: if suspect { Phase::Suspect } else { Phase::Waiting } as i16,
            suspect_turn: None,
            ..self
        }
    }
}

/// An event to be settled as done, or as ignored when no handler did anything.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: i64,
    pub(crate) fence: i64,
    /// Its fence until now, if it is behind the one that is claimed: otherwise it is not the event that was run.
    pub(crate) behind: Option<i64>,
    pub(crate) ordering_key: String,
    pub(crate) worker: Option<String>,
    /// The handlers that did something, each ended by a line feed.
    pub(crate) handlers: String,
    /// Why it was ignored, if no handler did anything.
    pub(crate) reason: Option<String>,
}

impl Settled {
    /// An event of the queue in which `held` runs.
    pub(crate) fn new(completion: &Completion, held: Lease, queue: &QueueRow) -> Self {
        let Lease { event, fence } = completion.lease;
        let (handlers, reason) = handlers_and_reason(completion);
        Self {
            id: event.get(),
            fence,
            behind: (completion.lease != held).then_some(fence - 1),
            ordering_key: queue.ordering_key.clone(),
            worker: queue.worker.clone(),
            handlers,
            reason,
        }
    }
}

/// The handlers that did something, each ended by a line feed, and why the event was ignored if none did.
pub(crate) fn handlers_and_reason(completion: &Completion) -> (String, Option<String>) {
    let mut handlers = String::new();
    let mut reason = None;
    for (handler, handled) in &completion.handled {
        match handled {
            Handled::Ignored(why) => reason = Some(text(why)),
            _ => handlers.push_str(&line(handler)),
        }
    }
    (handlers.clone(), reason.filter(|_| handlers.is_empty()))
}

/// A handler's name as the column of those that are done has it.
pub(crate) fn line(handler: &str) -> String {
    format!("{}\n", text(handler))
}

/// An event that waits, at the head of its queue.
#[derive(Debug, Queryable)]
pub(crate) struct HeadRow {
    pub(crate) ordering_key: String,
    pub(crate) passable: i16,
    pub(crate) place: i64,
    pub(crate) id: i64,
    occurred_at: i64,
    due_at: i64,
    fence: i64,
    endpoint: String,
    received_at: i64,
    body: Vec<u8>,
    failures: i32,
    pub(crate) crashes: i32,
    interruptions: i32,
    completed: String,
    trace_context: Option<String>,
}

/// The columns of a [`HeadRow`].
pub(crate) type HeadColumns = (
    sql_types::Text,
    sql_types::SmallInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::Text,
    sql_types::BigInt,
    sql_types::Binary,
    sql_types::Integer,
    sql_types::Integer,
    sql_types::Integer,
    sql_types::Text,
    sql_types::Nullable<sql_types::Text>,
);

impl HeadRow {
    /// What decides whether it runs.
    pub(crate) fn head(&self) -> Head {
        Head {
            event: RowId::new(self.id),
            occurred_at: Timestamp::from_millis(self.occurred_at),
            // The clock of a receiver may be ahead of the database's, by which it is due.
            received_at: Timestamp::from_millis(self.received_at.min(self.due_at)),
            due_at: Timestamp::from_millis(self.due_at),
        }
    }

    /// The fence of its next claim. A number that cannot be counted up, which only a hand can have written, must not
    /// stop the event.
    pub(crate) fn next_fence(&self) -> i64 {
        self.fence.checked_add(1).unwrap_or(1)
    }

    pub(crate) fn into_claim(self, fence: i64) -> Claim {
        let lease = Lease { event: RowId::new(self.id), fence };
        let received_at = Timestamp::from_millis(self.received_at);
        let mut claim = Claim::new(lease, self.endpoint.into(), received_at, self.body);
        claim.failures = count(self.failures);
        claim.crashes = count(self.crashes);
        claim.interruptions = count(self.interruptions);
        claim.completed = names(&self.completed);
        claim.trace = trace(self.trace_context.as_deref());
        claim
    }

    /// Its place among those of its queue.
    #[cfg(feature = "mysql")]
    pub(crate) fn order(&self) -> (i64, i64) {
        (self.place, self.id)
    }

    /// Whether it may be run right after the events before it.
    fn follows(&self, order: SessionOrder, now: Timestamp) -> bool {
        let runs = order.turn(Some(self.head()), None, now) == Turn::Run(RowId::new(self.id));
        // One whose fence cannot be counted up is claimed by itself.
        runs && self.crashes == 0 && self.fence < i64::MAX
    }
}

/// Where to look for what follows a claim.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    pub(crate) ordering_key: String,
    /// The event that is claimed.
    pub(crate) event: i64,
    /// Where its queue begins.
    pub(crate) head_place: i64,
    pub(crate) next: NextClaim,
}

/// How many events are looked at to list those behind a claim: the claimed one too.
pub(crate) fn looked_at(next: NextClaim) -> i64 {
    i64::try_from(next.following).unwrap_or(i64::MAX).saturating_add(1)
}

/// What follows the event that is claimed, of the first events of its queue.
pub(crate) fn follow(rows: Vec<HeadRow>, claimed: i64, next: NextClaim, now: i64) -> Vec<Claim> {
    let now = Timestamp::from_millis(now);
    let rows = rows.into_iter().filter(|row| row.id != claimed);
    let following = rows.take_while(|row| row.follows(next.order, now)).map(|row| {
        let fence = row.next_fence();
        row.into_claim(fence)
    });
    following.take(next.following).collect()
}

/// An event whose lease ran out.
#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct CrashedRow {
    pub(crate) id: i64,
    idempotency_key: String,
    event_type: String,
    failures: i32,
    pub(crate) crashes: i32,
    interruptions: i32,
}

impl CrashedRow {
    /// It was given up after so many crashes.
    pub(crate) fn buried(self, crashes: u32) -> Burial {
        let attempts = crashes.saturating_add(count(self.failures)).saturating_add(count(self.interruptions));
        let key = IdempotencyKey::new(self.idempotency_key);
        Burial::new(RowId::new(self.id), key, self.event_type, crashes, attempts)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_conflicts)]
pub(crate) struct ConflictRow {
    id: i64,
    endpoint: String,
    idempotency_key: String,
    body: Vec<u8>,
    first_received_at: i64,
    last_received_at: i64,
    seen: i32,
}

impl TryFrom<ConflictRow> for Conflict {
    type Error = StoreError;

    fn try_from(row: ConflictRow) -> Result<Self, StoreError> {
        let mut conflict = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            IdempotencyKey::new(row.idempotency_key),
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        conflict.last_received_at = Timestamp::from_millis(row.last_received_at);
        conflict.seen = count(row.seen);
        Ok(conflict)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_quarantine)]
pub(crate) struct QuarantineRow {
    id: i64,
    endpoint: String,
    body: Vec<u8>,
    reason: String,
    first_received_at: i64,
    last_received_at: i64,
    seen: i32,
}

impl TryFrom<QuarantineRow> for Quarantined {
    type Error = StoreError;

    fn try_from(row: QuarantineRow) -> Result<Self, StoreError> {
        let mut quarantined = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            row.reason,
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        quarantined.last_received_at = Timestamp::from_millis(row.last_received_at);
        quarantined.seen = count(row.seen);
        Ok(quarantined)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_attempts)]
pub(crate) struct AttemptRow {
    id: i64,
    event_id: i64,
    fence: i64,
    worker: Option<String>,
    outcome: String,
    error: Option<String>,
    ended_at: i64,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let outcome = AttemptOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == row.outcome);
        let outcome = outcome.ok_or_else(|| unknown("attempt", row.id, &row.outcome))?;
        let ended_at = Timestamp::from_millis(row.ended_at);
        let mut attempt =
            Self::new(RowId::new(row.id), RowId::new(row.event_id), row.fence, outcome, ended_at);
        attempt.worker = row.worker;
        attempt.error = row.error;
        Ok(attempt)
    }
}

#[derive(Insertable)]
#[diesel(table_name = jaas_audit)]
pub(crate) struct NewAudit {
    pub(crate) event_id: i64,
    pub(crate) endpoint: String,
    pub(crate) idempotency_key: String,
    pub(crate) action: &'static str,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) acted_at: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_audit)]
pub(crate) struct AuditRow {
    id: i64,
    event_id: i64,
    endpoint: String,
    idempotency_key: String,
    action: String,
    actor: String,
    reason: String,
    acted_at: i64,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let action = AuditAction::ALL.into_iter().find(|action| action.as_str() == row.action);
        Ok(Self::new(
            RowId::new(row.id),
            RowId::new(row.event_id),
            (row.endpoint.into(), IdempotencyKey::new(row.idempotency_key)),
            action.ok_or_else(|| unknown("audit entry", row.id, &row.action))?,
            AuditNote::new(row.actor, row.reason),
            Timestamp::from_millis(row.acted_at),
        ))
    }
}

/// The state of this stored name.
pub(crate) fn state(id: i64, name: &str) -> Result<EventState, StoreError> {
    EventState::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| unknown("event", id, name))
}

pub(crate) fn unknown(what: &str, id: i64, name: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!("{what} {id} is {name:?}, which this version of jaas-diesel does not know; update it"),
    )
}

/// The trace in its column. What is no trace there must not hold up the event.
fn trace(column: Option<&str>) -> Option<TraceContext> {
    column?.parse().ok()
}

/// The names in a `completed` column.
fn names(completed: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in completed.lines() {
        // Twice when the answer to the first completion was lost.
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

/// Text as every database can keep it: PostgreSQL knows no NUL, and the columns for people are bounded.
pub(crate) fn text(text: &str) -> String {
    const MAX_CHARS: usize = 8000;
    text.chars().take(MAX_CHARS).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// As much of it as an index takes. The body has all of it.
pub(crate) fn indexed(mut text: String) -> String {
    let mut end = text.len().min(MAX_INDEXED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// How long it is from one time to another.
pub(crate) fn since(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// Cuts a page out of rows read with one more than it holds.
pub(crate) fn page_of<R, T>(
    rows: Vec<R>,
    page: PageRequest,
    id: impl Fn(&T) -> RowId,
) -> Result<Page<T>, StoreError>
where
    T: TryFrom<R>,
    StoreError: From<T::Error>,
{
    let rows = rows.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
    Ok(Page::from_rows(rows, page.clamped_limit(), id))
}

/// The rows of a page that were changed.
pub(crate) fn changed(rows: Vec<(RowId, bool)>, page: PageRequest) -> Page<RowId> {
    let Page { items, next, .. } = Page::from_rows(rows, page.clamped_limit(), |(id, _)| *id);
    Page { items: items.into_iter().filter(|(_, changed)| *changed).map(|(id, _)| id).collect(), next }
}

/// The endpoints of events, each once, and their keys: what finds them by the index, and with them perhaps some of
/// another endpoint with the same key.
pub(crate) fn endpoints_and_keys<'e>(
    events: impl Iterator<Item = &'e NewEvent>,
) -> (Vec<&'e str>, Vec<&'e str>) {
    let (endpoints, keys): (BTreeSet<&str>, Vec<&str>) = events.map(NewEvent::key).unzip();
    (endpoints.into_iter().collect(), keys)
}
