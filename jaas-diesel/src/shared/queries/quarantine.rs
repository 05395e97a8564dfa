//! Accepting bodies from quarantine that can be parsed now.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `counts` and
//! `dialect` are the backend's modules of these names.

use std::collections::HashSet;

use diesel::prelude::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::store::{AuditAction, AuditNote, PageRequest, QuarantineReplay, RowId};
use jaas_core::{Delivery, Timestamp};

use super::super::counts::{QUARANTINED, add_to_counts};
use super::super::dialect::{self, Connection, RunQueryDsl as _, atomically, locked};
use super::accept::accept;
use super::repair::record_audit;
use super::{after, one_more};
use crate::now::Now;
use crate::rows::{MAX_BYTES, NewEvent, endpoints_and_keys, slot};
use crate::schema::{self, jaas_events, jaas_quarantine};

/// Parses a page of the quarantine again, up to the size of one commit, and accepts what can be parsed.
pub(in super::super) async fn replay_quarantined(
    connection: &mut Connection,
    page: PageRequest,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<QuarantineReplay> {
    use jaas_quarantine::dsl;
    // A replay must be as durable as a delivery.
    dialect::prepare(connection).await?;
    atomically!(connection, {
        let mut replayed = QuarantineReplay::default();
        let (ids, next) = fitting(connection, page).await?;
        replayed.next = next;
        let kept = dsl::jaas_quarantine.filter(dsl::id.eq_any(ids)).order(dsl::id).select((
            dsl::id,
            dsl::endpoint,
            dsl::first_received_at,
            dsl::body,
        ));
        let kept: Vec<(i64, String, i64, Vec<u8>)> = locked!(kept).load(connection).await?;
        let (mut parsed, mut events) = (Vec::new(), Vec::new());
        for (id, endpoint, received_at, body) in kept {
            match Delivery::parse(endpoint, Timestamp::from_millis(received_at), body.into()) {
                Ok(delivery) => {
                    parsed.push(id);
                    events.push(NewEvent::from(delivery));
                }
                Err(_) => replayed.unreadable += 1,
            }
        }
        if events.is_empty() {
            return Ok(replayed);
        }
        let events: Vec<&NewEvent> = events.iter().collect();
        for (outcome, _) in accept(connection, &events, now.is_given()).await? {
            replayed.count(outcome);
        }
        let left = dsl::jaas_quarantine.filter(dsl::id.eq_any(&parsed));
        let left = diesel::delete(left).execute(connection).await?;
        let with_keys = with_keys_of(connection, &events).await?;
        record_audit(connection, &with_keys, AuditAction::Replayed, audit, now).await?;
        add_to_counts(connection, slot(0), &[(QUARANTINED, -(left as i64))]).await?;
        Ok(replayed)
    })
}

/// The rows of a page that fit into one commit, and the row behind which the next page begins.
async fn fitting(connection: &mut Connection, page: PageRequest) -> QueryResult<(Vec<i64>, Option<RowId>)> {
    use jaas_quarantine::dsl;
    let rows =
        dsl::jaas_quarantine.select((dsl::id, schema::length(dsl::body))).limit(one_more(page)).into_boxed();
    let rows = if page.newest_first {
        rows.filter(dsl::id.lt(after(page))).order(dsl::id.desc())
    } else {
        rows.filter(dsl::id.gt(after(page))).order(dsl::id.asc())
    };
    let rows: Vec<(i64, i32)> = rows.load(connection).await?;
    let mut bytes = 0;
    let fits = |(_, size): &&(i64, i32)| {
        let is_first = bytes == 0;
        bytes += usize::try_from(*size).unwrap_or(0).max(1);
        is_first || bytes <= MAX_BYTES
    };
    let ids: Vec<i64> = rows.iter().take(page.clamped_limit()).take_while(fits).map(|(id, _)| *id).collect();
    let next = ids.last().copied().filter(|_| ids.len() < rows.len()).map(RowId::new);
    Ok((ids, next))
}

/// The ids of the stored events with the keys of these events.
async fn with_keys_of(connection: &mut Connection, events: &[&NewEvent]) -> QueryResult<Vec<i64>> {
    use jaas_events::dsl;
    let (endpoints, keys) = endpoints_and_keys(events.iter().copied());
    let rows: Vec<(i64, String, String)> = dsl::jaas_events
        .filter(dsl::endpoint.eq_any(endpoints).and(dsl::idempotency_key.eq_any(keys)))
        .select((dsl::id, dsl::endpoint, dsl::idempotency_key))
        .load(connection)
        .await?;
    let wanted: HashSet<(&str, &str)> = events.iter().map(|event| event.key()).collect();
    Ok(rows
        .iter()
        .filter(|(_, endpoint, key)| wanted.contains(&(&**endpoint, &**key)))
        .map(|(id, ..)| *id)
        .collect())
}
