//! A transaction: the tables from which `jaas-core` makes every operation.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use jaas_core::Timestamp;
use jaas_core::store::tools::{
    ActivitySample, BodyKey, EventRow, EventTables, Phase, ReadTables, Scheduled, TableRow,
};
use jaas_core::store::{Attempt, Conflict, EventState, Quarantined, RowId, StateStats, StoreStats};
use redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};

use crate::rows::*;

pub struct Tables<T>(pub T);

impl<T: Open> ReadTables for Tables<T> {
    type Error = Fault;

    fn find<R: TableRow>(&self, row: RowId) -> Outcome<Option<R>> {
        let rows = self.0.open(table_of::<R>())?;
        let json = rows.get(row.get())?;
        Ok(json.map(|json| serde_json::from_slice(json.value())).transpose()?)
    }

    fn all<R: TableRow>(&self) -> Outcome<Vec<R>> {
        let rows = self.0.open(table_of::<R>())?;
        rows.iter()?.map(|row| Ok(serde_json::from_slice(row?.1.value())?)).collect()
    }

    fn stats(&self) -> Outcome<StoreStats> {
        let mut stats = StoreStats::default();
        stats.conflicts = self.0.open(table_of::<Conflict>())?.len()?;
        stats.quarantined = self.0.open(table_of::<Quarantined>())?.len()?;
        for state in EventState::ALL {
            let name = of_state(state);
            let events = self.0.open(Numbers::new(&name))?;
            let oldest = events.first()?.map(|(_, at)| Timestamp::from_millis(at.value()));
            stats.set(state, StateStats::new(events.len()?, oldest));
        }
        Ok(stats)
    }

    fn row_of(&self, body: BodyKey<'_>) -> Outcome<Option<RowId>> {
        Ok(self.0.open(BODIES)?.get(body)?.map(|id| RowId::new(id.value())))
    }

    fn waiting(&self, queue: &str, passable: bool, limit: usize) -> Outcome<Vec<RowId>> {
        let waiting = self.0.open(WAITING)?;
        let of_queue = (queue, passable, i64::MIN, i64::MIN)..=(queue, passable, i64::MAX, i64::MAX);
        waiting.range(of_queue)?.take(limit).map(|row| Ok(RowId::new(row?.0.value().3))).collect()
    }

    fn scheduled(&self, queue: &str) -> Outcome<Option<Scheduled>> {
        let queues = self.0.open(QUEUES)?;
        let known = queues.get(queue)?;
        Ok(known.map(|json| serde_json::from_slice(json.value())).transpose()?)
    }

    fn due(
        &self,
        phase: Phase,
        at: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Outcome<Vec<(Timestamp, String)>> {
        let due = self.0.open(DUE)?;
        let bound = |at: &Timestamp, queue| (phase.as_str(), at.as_millis(), queue);
        // The name of a queue begins with a letter.
        let rows = due.range(bound(at.start(), "")..bound(at.end(), "~"))?.take(limit);
        let queue = |(_, at, queue): (&str, i64, &str)| (Timestamp::from_millis(at), queue.to_owned());
        rows.map(|row| Ok(queue(row?.0.value()))).collect()
    }
}

impl EventTables for Tables<WriteTransaction> {
    fn next_id(&mut self) -> Outcome<RowId> {
        let mut last = self.0.open_table(LAST_ROW)?;
        let next = last.get(())?.map_or(0, |last| last.value()) + 1;
        last.insert((), next)?;
        Ok(RowId::new(next))
    }

    fn put<R: TableRow>(&mut self, row: &R) -> Outcome<()> {
        self.0.open_table(table_of::<R>())?.insert(row.id().get(), &*serde_json::to_vec(row)?)?;
        Ok(())
    }

    fn save(&mut self, row: EventRow) -> Outcome<()> {
        let EventRow { event, .. } = &row;
        self.unindex(event.id)?;
        self.put(&row)?;
        self.set_row_of((&event.endpoint, event.idempotency_key.as_str(), &[]), event.id)?;
        let mut of_state = self.0.open_table(Numbers::new(&of_state(event.state)))?;
        of_state.insert(event.id.get(), event.received_at.as_millis())?;
        if event.state == EventState::Waiting {
            self.0.open_table(WAITING)?.insert(place(&row, &row.queue()), ())?;
        }
        Ok(())
    }

    fn delete(&mut self, rows: &HashSet<RowId>) -> Outcome<()> {
        for id in rows {
            self.unindex(*id)?;
            for table in [EventRow::TABLE, Conflict::TABLE, Quarantined::TABLE, Attempt::TABLE] {
                self.0.open_table(Table::<i64, &[u8]>::new(table))?.remove(id.get())?;
            }
        }
        Ok(self.0.open_table(BODIES)?.retain(|_, id| !rows.contains(&RowId::new(id)))?)
    }

    fn delete_samples(&mut self, before: RowId) -> Outcome<()> {
        Ok(self.0.open_table(table_of::<ActivitySample>())?.retain(|id, _| id >= before.get())?)
    }

    fn set_row_of(&mut self, body: BodyKey<'_>, row: RowId) -> Outcome<()> {
        self.0.open_table(BODIES)?.insert(body, row.get())?;
        Ok(())
    }

    fn schedule(&mut self, queue: &str, to: Option<Scheduled>) -> Outcome<()> {
        let before = self.scheduled(queue)?;
        let (mut queues, mut due) = (self.0.open_table(QUEUES)?, self.0.open_table(DUE)?);
        if let Some(before) = before {
            due.remove((before.phase.as_str(), before.at.as_millis(), queue))?;
            queues.remove(queue)?;
        }
        if let Some(to) = to {
            due.insert((to.phase.as_str(), to.at.as_millis(), queue), ())?;
            queues.insert(queue, &*serde_json::to_vec(&to)?)?;
        }
        Ok(())
    }
}

impl Tables<WriteTransaction> {
    /// Removes what an event was found by, except its key.
    fn unindex(&self, id: RowId) -> Outcome<()> {
        if let Some(before) = self.find::<EventRow>(id)? {
            self.0.open_table(Numbers::new(&of_state(before.event.state)))?.remove(id.get())?;
            self.0.open_table(WAITING)?.remove(place(&before, &before.queue()))?;
        }
        Ok(())
    }
}

/// Returns the place of a waiting event in its queue.
fn place<'a>(row: &EventRow, queue: &'a str) -> (&'a str, bool, i64, i64) {
    let (at, id) = row.place();
    (queue, row.passable, at.as_millis(), id.get())
}
