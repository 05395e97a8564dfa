//! A queue: the waiting events of a session, and the event that runs.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;

use crate::schema::jaas_queues;

/// A locked row of `jaas_queues`.
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
    /// 1 if the queue was made for one event, and none has come since.
    pub(crate) lone: i16,
}

impl QueueRow {
    /// The queue after its event has ended, waiting until `due_at`. With `suspect`, its next event has crashed before.
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
    sql_types::SmallInt,
);

/// The phase of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its events wait.
    Waiting = 0,
    /// Its events wait, and its next event has crashed before.
    Suspect = 1,
    /// One of its events runs.
    Running = 2,
}

/// An event that begins to wait in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The key of the queue.
    pub(crate) key: &'a str,
    pub(crate) due_at: i64,
    pub(crate) place: i64,
    /// Whether it is one event, and not the earliest of several.
    pub(crate) lone: bool,
}

/// One arrival for each queue, sorted by queue: the earliest time and the earliest place of its events.
pub(crate) fn earliest<'e>(arrivals: impl Iterator<Item = Arrival<'e>>) -> Vec<Arrival<'e>> {
    let mut by_queue: BTreeMap<&str, Arrival<'e>> = BTreeMap::new();
    for arrival in arrivals {
        by_queue
            .entry(arrival.key)
            .and_modify(|known| {
                known.due_at = known.due_at.min(arrival.due_at);
                known.place = known.place.min(arrival.place);
                known.lone = false;
            })
            .or_insert(arrival);
    }
    by_queue.into_values().collect()
}
