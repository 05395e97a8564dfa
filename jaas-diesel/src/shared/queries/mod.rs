//! The SQL that the three databases have in common, as functions over a connection.
//!
//! Compiled once per backend, as its module `queries`, so that one text serves three connection types. In these files
//! `Connection` is what the backend's `dialect` names: `SqliteConnection`, which blocks, `AsyncPgConnection` or
//! `AsyncMysqlConnection`. What differs between the backends is in their modules `dialect` (transactions, locks), `accept`
//! (new events) and `queues` (the statements on queues).
//!
//! All backends lock rows in the same order: bodies in quarantine, queues by their keys, then events, then counts.

pub(super) mod accept;
pub(super) mod activity;
mod advance;
pub(super) mod claim;
pub(super) mod lookup;
mod matching;
pub(super) mod of_event;
pub(super) mod ping;
pub(super) mod purge;
pub(super) mod quarantine;
pub(super) mod repair;
pub(super) mod settle;
pub(super) mod stats;
pub(super) mod watch;

use jaas_core::store::{EventState, PageRequest, RowId};

const WAITING: &str = EventState::Waiting.as_str();
const DONE: &str = EventState::Done.as_str();
const IGNORED: &str = EventState::Ignored.as_str();
const DEAD: &str = EventState::Dead.as_str();
const DISCARDED: &str = EventState::Discarded.as_str();

/// Compares the state of an event with a constant of the SQL text: a partial index cannot serve a parameter.
macro_rules! state_is {
    ($state:literal) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>(concat!("jaas_events.state = '", $state, "'"))
    };
}
use state_is;

/// The same for events that are chosen by their ids, as the result of a function: an index of states would be read instead.
macro_rules! also_in_state {
    ($state:literal) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>(concat!("concat(jaas_events.state, '') = '", $state, "'"))
    };
}
use also_in_state;

/// How many rows to read for a page: one more than it holds, which shows whether another page follows.
pub(super) fn one_more(page: PageRequest) -> i64 {
    page.clamped_limit() as i64 + 1
}

/// The number of the row behind which a page begins.
pub(super) fn after(page: PageRequest) -> i64 {
    page.after.map_or(if page.newest_first { i64::MAX } else { i64::MIN }, RowId::get)
}
