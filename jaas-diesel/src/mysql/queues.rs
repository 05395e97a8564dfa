//! The statements on queues, their events and counts for MySQL and MariaDB. They name their indexes, because the
//! statistics of tables that change all the time are old, and with these the planner might read and lock more rows.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment};
use diesel::sql_types::{BigInt, Bool, Nullable, SmallInt, Text};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl as _};
use jaas_core::store::EventState;

use crate::now::Now;
use crate::rows::{Behind, HeadColumns, HeadRow, Phase, QueueColumns, QueueRow, Settled, looked_at};
use crate::statement::{known_by_text, statement};

statement! {
    /// Locks the queues of a phase that are due from one time to another, and that no other transaction has locked, the
    /// earliest first.
    LockDue on Mysql { phase: i16, from: i64, now: i64, limit: i64 } -> QueueColumns =
        "SELECT q.ordering_key, q.due_at, q.head_place, q.event_id, q.fence, q.worker, q.phase, q.suspect_turn, q.lone \
         FROM jaas_queues q FORCE INDEX (jaas_queues_due) WHERE q.phase = " { phase: SmallInt }
        " AND q.due_at >= " { from: BigInt } " AND q.due_at <= " { now: BigInt } " ORDER BY q.due_at LIMIT " { limit: BigInt } " FOR UPDATE SKIP LOCKED"
}

pub(in super::super) async fn lock_due(
    connection: &mut AsyncMysqlConnection,
    phase: Phase,
    from: i64,
    now: i64,
    limit: i64,
) -> QueryResult<Vec<QueueRow>> {
    LockDue { phase: phase as i16, from, now, limit }.load(connection).await
}

statement! {
    /// The keys of the queues of these events.
    listing KeysOf on Mysql { events: Vec<i64> } -> Text =
        "SELECT e.ordering_key FROM jaas_events e FORCE INDEX (PRIMARY) WHERE e.id IN (" (events: BigInt) ")"
}

statement! {
    /// Locks queues, in the order of their keys, and returns the current time with each.
    listing LockQueues on Mysql { keys: Vec<String>, now: Now } -> (QueueColumns, BigInt) =
        "SELECT q.ordering_key, q.due_at, q.head_place, q.event_id, q.fence, q.worker, q.phase, q.suspect_turn, q.lone, "
        [now]
        " FROM jaas_queues q FORCE INDEX (PRIMARY) WHERE q.ordering_key IN (" (keys: Text)
        ") ORDER BY q.ordering_key FOR UPDATE"
}

statement! {
    /// Locks the queue of an event, and returns the current time with it.
    LockQueue on Mysql { event: i64, now: Now } -> (QueueColumns, BigInt) =
        "SELECT q.ordering_key, q.due_at, q.head_place, q.event_id, q.fence, q.worker, q.phase, q.suspect_turn, q.lone, "
        [now]
        " FROM jaas_queues q FORCE INDEX (PRIMARY) WHERE q.ordering_key = \
         (SELECT e.ordering_key FROM jaas_events e FORCE INDEX (PRIMARY) WHERE e.id = " { event: BigInt } ") FOR UPDATE"
}

/// Locks the queues of these events.
pub(in super::super) async fn lock_running(
    connection: &mut AsyncMysqlConnection,
    events: Vec<i64>,
    now: Now,
) -> QueryResult<Vec<(QueueRow, i64)>> {
    match *events {
        [] => return Ok(Vec::new()),
        [event] => return LockQueue { event, now }.load(connection).await,
        _ => {}
    }
    // The keys are read first, because every transaction locks queues in the order of their keys. An index of the running
    // events would find them without this, and would cost each event two changes of it.
    let mut keys: Vec<String> = KeysOf { events }.load(connection).await?;
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    LockQueues { keys, now }.load(connection).await
}

statement! {
    /// The ids of the events at the heads of queues: in each queue the first event that holds back others, and the
    /// first that others may pass.
    listing HeadIds on Mysql { keys: Vec<String> } -> (Nullable<BigInt>, Nullable<BigInt>) =
        "SELECT (SELECT e.id FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.ordering_key = q.ordering_key \
         AND e.state = 'waiting' AND e.passable = 0 AND e.place >= q.head_place ORDER BY e.place, e.id LIMIT 1), \
         (SELECT e.id FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.ordering_key = q.ordering_key \
         AND e.state = 'waiting' AND e.passable = 1 ORDER BY e.place, e.id LIMIT 1) \
         FROM jaas_queues q FORCE INDEX (PRIMARY) WHERE q.ordering_key IN (" (keys: Text) ")"
}

statement! {
    /// The events with these ids.
    listing Heads on Mysql { ids: Vec<i64> } -> HeadColumns =
        "SELECT e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, e.received_at, \
         e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context \
         FROM jaas_events e FORCE INDEX (PRIMARY) WHERE e.id IN (" (ids: BigInt) ")"
}

statement! {
    /// The first event of one queue that holds back others, and whether an event waits in it that others may pass. A
    /// `UNION` of both first events would take a temporary table.
    FirstOfOne on Mysql { key: String, place: i64 } -> (HeadColumns, Bool) =
        "SELECT e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, e.received_at, \
         e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context, \
         EXISTS (SELECT 1 FROM jaas_events p FORCE INDEX (jaas_events_waiting) \
         WHERE p.ordering_key = e.ordering_key AND p.state = 'waiting' AND p.passable = 1) \
         FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.ordering_key = " { key: Text }
        " AND e.state = 'waiting' AND e.passable = 0 AND e.place >= " { place: BigInt } " ORDER BY e.place, e.id LIMIT 1"
}

statement! {
    /// The first event of one queue that others may pass.
    PassableOfOne on Mysql { key: String } -> HeadColumns =
        "SELECT e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, e.received_at, \
         e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context \
         FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.ordering_key = " { key: Text }
        " AND e.state = 'waiting' AND e.passable = 1 ORDER BY e.place, e.id LIMIT 1"
}

/// The events at the head of one queue.
async fn heads_of_one(connection: &mut AsyncMysqlConnection, queue: &QueueRow) -> QueryResult<Vec<HeadRow>> {
    let key = || queue.ordering_key.clone();
    let first: Vec<(HeadRow, bool)> =
        FirstOfOne { key: key(), place: queue.head_place }.load(connection).await?;
    let has_passable = first.as_slice().first().is_none_or(|(_, has_passable)| *has_passable);
    let mut heads: Vec<HeadRow> = first.into_iter().map(|(head, _)| head).collect();
    if has_passable {
        heads.extend(PassableOfOne { key: key() }.load::<HeadRow>(connection).await?);
    }
    Ok(heads)
}

statement! {
    /// The waiting events of queues in which one event waits at most.
    listing LoneHeads on Mysql { keys: Vec<String> } -> HeadColumns =
        "SELECT e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, e.received_at, \
         e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context \
         FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.state = 'waiting' AND e.ordering_key IN ("
        (keys: Text) ")"
}

pub(in super::super) async fn heads(
    connection: &mut AsyncMysqlConnection,
    queues: &[&QueueRow],
) -> QueryResult<Vec<HeadRow>> {
    let key = |queue: &&QueueRow| queue.ordering_key.clone();
    let (lone, others): (Vec<&QueueRow>, Vec<&QueueRow>) = queues.iter().partition(|queue| queue.lone == 1);
    let mut heads: Vec<HeadRow> = if lone.is_empty() {
        Vec::new()
    } else {
        LoneHeads { keys: lone.iter().map(key).collect() }.load(connection).await?
    };
    if others.is_empty() {
        return Ok(heads);
    }
    if let [queue] = *others {
        heads.extend(heads_of_one(connection, queue).await?);
        return Ok(heads);
    }
    let keys = others.iter().map(key).collect();
    let ids: Vec<(Option<i64>, Option<i64>)> = HeadIds { keys }.load(connection).await?;
    let ids: Vec<i64> = ids.into_iter().flat_map(|(first, passed)| [first, passed]).flatten().collect();
    if !ids.is_empty() {
        heads.extend(Heads { ids }.load::<HeadRow>(connection).await?);
    }
    Ok(heads)
}

/// The first events of queues that hold back others, in their order. The queues are padded with the last queue, and a
/// limit of zero, to a power of two, so that the server prepares few different texts.
struct Following<'a> {
    behind: &'a [Behind],
    limits: Vec<i64>,
}

impl<'a> Following<'a> {
    fn new(behind: &'a [Behind]) -> Self {
        let mut limits: Vec<i64> = behind.iter().map(|queue| looked_at(queue.next)).collect();
        limits.resize(behind.len().next_power_of_two(), 0);
        Self { behind, limits }
    }
}

known_by_text!(Following<'_>);

impl Query for Following<'_> {
    type SqlType = HeadColumns;
}

impl QueryFragment<Mysql> for Following<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        for (index, limit) in self.limits.iter().enumerate() {
            let Some(queue) = self.behind.get(index).or(self.behind.last()) else { continue };
            out.push_sql(if index > 0 { " UNION ALL (" } else { "(" });
            out.push_sql(
                "SELECT e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, \
                 e.received_at, e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context \
                 FROM jaas_events e FORCE INDEX (jaas_events_waiting) WHERE e.ordering_key = ",
            );
            out.push_bind_param::<Text, _>(&queue.ordering_key)?;
            out.push_sql(" AND e.state = 'waiting' AND e.passable = 0 AND e.place >= ");
            out.push_bind_param::<BigInt, _>(&queue.head_place)?;
            out.push_sql(" ORDER BY e.place, e.id LIMIT ");
            out.push_bind_param::<BigInt, _>(limit)?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for Following<'_> {}

pub(in super::super) async fn following(
    connection: &mut AsyncMysqlConnection,
    behind: &[Behind],
) -> QueryResult<Vec<HeadRow>> {
    let mut rows: Vec<HeadRow> = Following::new(behind).load(connection).await?;
    // The order of a `UNION` is not defined.
    rows.sort_by_key(HeadRow::order);
    Ok(rows)
}

/// Writes the new values of queues, which exist and are locked. The rows are padded with the last row to a power of
/// two, so that the server prepares few different texts.
struct WriteQueues(Vec<QueueRow>);

known_by_text!(WriteQueues);

impl QueryFragment<Mysql> for WriteQueues {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO jaas_queues (ordering_key, due_at, head_place, event_id, fence, worker, phase, suspect_turn) VALUES ",
        );
        for index in 0..self.0.len().next_power_of_two() {
            let Some(queue) = self.0.get(index).or(self.0.last()) else { continue };
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(&queue.ordering_key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&queue.due_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&queue.head_place)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&queue.event_id)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&queue.fence)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&queue.worker)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&queue.phase)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<SmallInt>, _>(&queue.suspect_turn)?;
            out.push_sql(")");
        }
        out.push_sql(
            " ON DUPLICATE KEY UPDATE due_at = VALUES(due_at), head_place = VALUES(head_place), event_id = VALUES(event_id), \
             fence = VALUES(fence), worker = VALUES(worker), phase = VALUES(phase), suspect_turn = VALUES(suspect_turn)",
        );
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for WriteQueues {}

statement! {
    /// Deletes queues.
    listing DeleteQueues on Mysql { keys: Vec<String> } -> () =
        "DELETE FROM jaas_queues WHERE ordering_key IN (" (keys: Text) ")"
}

pub(in super::super) async fn write_queues(
    connection: &mut AsyncMysqlConnection,
    changed: Vec<QueueRow>,
    ended: Vec<String>,
) -> QueryResult<()> {
    if !ended.is_empty() {
        DeleteQueues { keys: ended }.execute(connection).await?;
    }
    if !changed.is_empty() {
        WriteQueues(changed).execute(connection).await?;
    }
    Ok(())
}

/// Settles events whose queues are locked. The rows are padded with the last row to a power of two, so that the server
/// prepares few different texts.
struct Settle<'a> {
    settled: &'a [Settled],
    now: i64,
}

known_by_text!(Settle<'_>);

impl Settle<'_> {
    /// A single event without a table of values, which would be a temporary table.
    fn one<'b>(&'b self, event: &'b Settled, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("UPDATE jaas_events e SET ");
        if event.reason.is_some() {
            out.push_sql("e.note = IF(e.completed = '', ");
            out.push_bind_param::<Nullable<Text>, _>(&event.reason)?;
            out.push_sql(", e.note), e.state = IF(e.completed = '', 'ignored', 'done')");
        } else {
            out.push_sql("e.state = 'done'");
        }
        out.push_sql(", e.completed = CONCAT(e.completed, ");
        out.push_bind_param::<Text, _>(&event.handlers)?;
        out.push_sql("), e.fence = ");
        out.push_bind_param::<BigInt, _>(&event.fence)?;
        out.push_sql(", e.worker = ");
        out.push_bind_param::<Nullable<Text>, _>(&event.worker)?;
        out.push_sql(", e.settled_at = ");
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql(" WHERE e.id = ");
        out.push_bind_param::<BigInt, _>(&event.id)?;
        out.push_sql(" AND e.state = 'waiting' AND e.ordering_key = ");
        out.push_bind_param::<Text, _>(&event.ordering_key)?;
        if let Some(behind) = &event.behind {
            out.push_sql(" AND e.fence = ");
            out.push_bind_param::<BigInt, _>(behind)?;
        }
        Ok(())
    }
}

impl QueryFragment<Mysql> for Settle<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        if let [event] = self.settled {
            return self.one(event, out);
        }
        out.push_sql("UPDATE (");
        for index in 0..self.settled.len().next_power_of_two() {
            let Some(event) = self.settled.get(index).or(self.settled.last()) else { continue };
            let [id, fence, behind, queue, worker, handlers, reason] = if index > 0 {
                [" UNION ALL SELECT ", ", ", ", ", ", ", ", ", ", ", ", "]
            } else {
                [
                    "SELECT ",
                    " AS id, ",
                    " AS fence, ",
                    " AS behind, ",
                    " AS queue, ",
                    " AS worker, ",
                    " AS handlers, ",
                ]
            };
            out.push_sql(id);
            out.push_bind_param::<BigInt, _>(&event.id)?;
            out.push_sql(fence);
            out.push_bind_param::<BigInt, _>(&event.fence)?;
            out.push_sql(behind);
            out.push_bind_param::<Nullable<BigInt>, _>(&event.behind)?;
            out.push_sql(queue);
            out.push_bind_param::<Text, _>(&event.ordering_key)?;
            out.push_sql(worker);
            out.push_bind_param::<Nullable<Text>, _>(&event.worker)?;
            out.push_sql(handlers);
            out.push_bind_param::<Text, _>(&event.handlers)?;
            out.push_sql(reason);
            out.push_bind_param::<Nullable<Text>, _>(&event.reason)?;
            if index == 0 {
                out.push_sql(" AS reason");
            }
        }
        out.push_sql(
            ") n STRAIGHT_JOIN jaas_events e ON e.id = n.id SET \
             e.note = IF(n.reason IS NOT NULL AND e.completed = '', n.reason, e.note), \
             e.state = IF(n.reason IS NOT NULL AND e.completed = '', 'ignored', 'done'), \
             e.completed = CONCAT(e.completed, n.handlers), e.fence = n.fence, e.worker = n.worker, e.settled_at = ",
        );
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql(
            " WHERE e.state = 'waiting' AND e.ordering_key = n.queue AND e.fence = COALESCE(n.behind, e.fence)",
        );
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for Settle<'_> {}

statement! {
    /// Of these events, those that no handler has completed: their keys and fences.
    listing Untouched on Mysql { ids: Vec<i64> } -> (BigInt, Text, BigInt) =
        "SELECT e.id, e.ordering_key, e.fence FROM jaas_events e FORCE INDEX (PRIMARY) \
         WHERE e.id IN (" (ids: BigInt) ") AND e.state = 'waiting' AND e.completed = ''"
}

pub(in super::super) async fn settle(
    connection: &mut AsyncMysqlConnection,
    settled: &[Settled],
    now: i64,
) -> QueryResult<Vec<(&'static str, i64)>> {
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    // Asked before, because afterwards an event that was settled earlier under the same fence looks like one of these.
    let ids: Vec<i64> = settled.iter().filter(|event| event.reason.is_some()).map(|event| event.id).collect();
    let untouched: Vec<(i64, String, i64)> =
        if ids.is_empty() { Vec::new() } else { Untouched { ids }.load(connection).await? };
    let is_ignored = |(id, key, fence): &(i64, String, i64)| {
        settled.iter().any(|event| {
            let may_settle = event.behind.is_none_or(|behind| behind == *fence);
            event.reason.is_some() && event.id == *id && event.ordering_key == *key && may_settle
        })
    };
    let ignored = untouched.iter().filter(|event| is_ignored(event)).count() as i64;
    // Each event that is settled changes its state, so these are those that were waiting.
    let changed = Settle { settled, now }.execute(connection).await? as i64;
    let [waiting, done, of_ignored] =
        [EventState::Waiting, EventState::Done, EventState::Ignored].map(EventState::as_str);
    Ok(vec![(waiting, -changed), (done, changed - ignored), (of_ignored, ignored)])
}

/// Adds to counts.
struct AddToCounts<'a> {
    slot: i16,
    sums: &'a [(&'static str, i64)],
}

known_by_text!(AddToCounts<'_>);

impl QueryFragment<Mysql> for AddToCounts<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("INSERT INTO jaas_counts (name, slot, amount) VALUES ");
        for (index, (name, amount)) in self.sums.iter().enumerate() {
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(*name)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&self.slot)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(amount)?;
            out.push_sql(")");
        }
        out.push_sql(" ON DUPLICATE KEY UPDATE amount = amount + VALUES(amount)");
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for AddToCounts<'_> {}

pub(in super::super) async fn add_to_counts(
    connection: &mut AsyncMysqlConnection,
    slot: i16,
    sums: &[(&'static str, i64)],
) -> QueryResult<()> {
    AddToCounts { slot, sums }.execute(connection).await.map(drop)
}
