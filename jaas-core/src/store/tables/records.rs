//! What is kept beside the events: conflicts and quarantined bodies, attempts, the audit, and what was counted.

use super::EventTables;
use super::read::{BodyKey, ReadTables};
use super::row::{TableRow, Totals};
use crate::delivery::Delivery;
use crate::store::activity::ActivitySample;
use crate::store::row::EventRow;
use crate::store::{Attempt, AuditAction, AuditNote, Conflict, RowId};
use crate::timestamp::Timestamp;

/// Returns the event that has the key of this delivery.
pub(super) fn accepted_before<T: ReadTables + ?Sized>(
    tables: &T,
    delivery: &Delivery,
) -> Result<Option<EventRow>, T::Error> {
    let key = delivery.envelope.idempotency_key.as_str();
    tables.row_of((&delivery.endpoint, key, &[]))?.map_or(Ok(None), |event| tables.find(event))
}

/// Keeps a body under its key, or counts its repetition.
pub(super) fn keep_body<T: EventTables + ?Sized, R: TableRow>(
    tables: &mut T,
    body: BodyKey<'_>,
    again: impl FnOnce(R) -> R,
    new: impl FnOnce(RowId) -> R,
) -> Result<(), T::Error> {
    let known = tables.row_of(body)?.map_or(Ok(None), |row| tables.find(row))?;
    if let Some(known) = known {
        return tables.put(&again(known));
    }
    let new = new(tables.next_id()?);
    tables.put(&new)?;
    tables.set_row_of(body, new.id())
}

/// Erases the bodies of the conflicts with the keys of these events, and the errors of their attempts.
pub(super) fn erase_beside<T: EventTables + ?Sized>(
    tables: &mut T,
    events: &[EventRow],
) -> Result<(), T::Error> {
    let mut conflicts = tables.all::<Conflict>()?;
    conflicts.retain(|conflict| events.iter().any(|row| conflict.is_of(&row.event)));
    for conflict in conflicts {
        tables.put(&Conflict { body: Vec::new().into(), ..conflict })?;
    }
    let mut attempts = tables.all::<Attempt>()?;
    attempts.retain(|attempt| events.iter().any(|row| attempt.event == row.event.id));
    for attempt in attempts {
        tables.put(&Attempt { error: None, ..attempt })?;
    }
    Ok(())
}

/// Adds to what was counted so far.
pub(super) fn count<T: EventTables + ?Sized>(
    tables: &mut T,
    add: impl FnOnce(&mut ActivitySample),
) -> Result<(), T::Error> {
    let mut totals: Totals = tables.find(Totals::ROW)?.unwrap_or_default();
    add(&mut totals.0);
    tables.put(&totals)
}

pub(super) fn audit<T: EventTables + ?Sized>(
    tables: &mut T,
    row: &EventRow,
    action: AuditAction,
    note: &AuditNote,
    now: Timestamp,
) -> Result<(), T::Error> {
    let entry = row.audited(tables.next_id()?, action, note, now);
    tables.put(&entry)
}
