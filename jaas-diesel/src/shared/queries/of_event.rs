//! What is known of one event besides its row.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect`
//! and `queues` are the backend's modules of these names.

use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _,
};
use jaas_core::Timestamp;
use jaas_core::store::{PageRequest, QueueState, RowId, RunningEvent};

use super::super::dialect::{Connection, RunQueryDsl as _, atomically};
use super::super::queues;
use super::{WAITING, after, one_more};
use crate::rows::{AuditRow, ConflictRow, HeadRow, QueueRow};
use crate::schema::{jaas_audit, jaas_conflicts, jaas_events, jaas_queues};

/// The queue in which an event waits or runs.
pub(in super::super) async fn queue_of(
    connection: &mut Connection,
    event: RowId,
) -> QueryResult<Option<QueueState>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let row = dsl::jaas_events.find(event.get()).select((dsl::ordering_key, dsl::state, dsl::passable));
        let row: Option<(String, String, i16)> = row.load(connection).await?.pop();
        let Some((key, _, passable)) = row.filter(|(_, state, _)| state == WAITING) else { return Ok(None) };
        let queue = jaas_queues::table.find(key).select(QueueRow::as_select());
        let Some(queue): Option<QueueRow> = queue.load(connection).await?.pop() else { return Ok(None) };
        let mut state = QueueState::new(Timestamp::from_millis(queue.due_at));
        for head in queues::heads(connection, &[&queue]).await? {
            let place = if head.passable == 0 { &mut state.first } else { &mut state.passed };
            *place = Some(HeadRow::head(&head)).filter(|_| Some(head.id) != queue.event_id);
        }
        state.running = queue
            .event_id
            .map(|running| RunningEvent::new(RowId::new(running), queue.worker.clone(), state.due_at));
        state.suspect = queue.phase == 1;
        state.passable = passable == 1;
        QueryResult::Ok(Some(state))
    })
}

/// A page of the conflicts with the key of an event.
pub(in super::super) async fn conflicts_of(
    connection: &mut Connection,
    event: RowId,
    page: PageRequest,
) -> QueryResult<Vec<ConflictRow>> {
    use jaas_conflicts::dsl;
    let key =
        jaas_events::table.find(event.get()).select((jaas_events::endpoint, jaas_events::idempotency_key));
    let key: Option<(String, String)> = key.load(connection).await?.pop();
    let Some((endpoint, key)) = key else { return Ok(Vec::new()) };
    let rows = dsl::jaas_conflicts
        .filter(dsl::endpoint.eq(endpoint).and(dsl::idempotency_key.eq(key)))
        .limit(one_more(page))
        .select(ConflictRow::as_select());
    if page.newest_first {
        let order = (dsl::endpoint.desc(), dsl::idempotency_key.desc(), dsl::id.desc());
        rows.filter(dsl::id.lt(after(page))).order(order).load(connection).await
    } else {
        let order = (dsl::endpoint, dsl::idempotency_key, dsl::id);
        rows.filter(dsl::id.gt(after(page))).order(order).load(connection).await
    }
}

/// A page of what operators did to an event.
pub(in super::super) async fn audit_of(
    connection: &mut Connection,
    event: RowId,
    page: PageRequest,
) -> QueryResult<Vec<AuditRow>> {
    use jaas_audit::dsl;
    let rows = dsl::jaas_audit
        .filter(dsl::event_id.eq(event.get()))
        .limit(one_more(page))
        .select(AuditRow::as_select());
    if page.newest_first {
        rows.filter(dsl::id.lt(after(page)))
            .order((dsl::event_id.desc(), dsl::id.desc()))
            .load(connection)
            .await
    } else {
        rows.filter(dsl::id.gt(after(page))).order((dsl::event_id, dsl::id)).load(connection).await
    }
}
