//! The SQL that the three databases have in common, as functions over a connection.
//!
//! Each backend compiles this folder as a module, so that there is one text for all connection types. `Connection` is the
//! connection that the backend's `dialect` names: an `SqliteConnection`, which blocks, an `AsyncPgConnection` or an
//! `AsyncMysqlConnection`. What differs between backends comes from `dialect`, too. The order in which rows are locked is the
//! same everywhere: bodies in quarantine, queues by their keys, then events, then counts.

mod accept;
mod claim;
mod counts;
mod lookup;
mod purge;
mod quarantine;
mod repair;
mod settle;

use diesel::QueryResult;
use diesel::prelude::ExpressionMethods as _;
use diesel::result::Error;
use jaas_core::store::{EventState, PageRequest, RowId};

#[allow(unused_imports)] // each backend needs some of them
pub(super) use self::accept::{Outcome, earliest, unclaim_new};
pub(super) use self::accept::{accept, quarantine};
pub(super) use self::claim::{claim, next_due, renew};
pub(super) use self::counts::stats;
#[allow(unused_imports)] // each backend needs some of them
pub(super) use self::counts::{count, slot, slot_of};
pub(super) use self::lookup::{attempts, audit, conflicts, dead_letters, event, events, quarantined};
pub(super) use self::purge::{purge, surplus};
pub(super) use self::quarantine::replay_quarantined;
pub(super) use self::repair::{discard, discard_matching, erase_session, replay, replay_matching, reveal};
#[allow(unused_imports)] // SQLite completes one by one
pub(super) use self::settle::complete_all;
pub(super) use self::settle::{complete, fail, give_back, release};
use super::dialect::{self, Connection, RunQueryDsl as _, inside};
use crate::rows::NewEvent;

const WAITING: &str = EventState::Waiting.as_str();
const DONE: &str = EventState::Done.as_str();
const IGNORED: &str = EventState::Ignored.as_str();
const DEAD: &str = EventState::Dead.as_str();
const DISCARDED: &str = EventState::Discarded.as_str();

/// A state as a constant of the SQL text: an index that is made for it cannot serve a parameter.
macro_rules! state_is {
    ($state:literal) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>(concat!("jaas_events.state = '", $state, "'"))
    };
}
use state_is;

/// Commits a row as it was. A database that can only be read, waits for a lost standby, or has a full disk refuses that. Then
/// stores an event as `accept` does, and takes it back.
pub(super) async fn ping(connection: &mut Connection) -> QueryResult<()> {
    use crate::schema::jaas_migrations::dsl;
    dialect::prepare(connection).await?;
    diesel::update(dsl::jaas_migrations).set(dsl::version.eq(dsl::version)).execute(connection).await?;
    match tried(connection, &NewEvent::probe()?).await {
        Err(Error::RollbackTransaction) => Ok(()),
        result => result,
    }
}

/// Always ends with an error, so that it is rolled back.
async fn tried(connection: &mut Connection, probe: &NewEvent) -> QueryResult<()> {
    inside!(connection, {
        dialect::insert_new(connection, &[probe], true).await?;
        Err(Error::RollbackTransaction)
    })
}

/// One row more than the page holds, which shows whether there is another page.
pub(super) fn one_more(page: PageRequest) -> i64 {
    page.clamped_limit() as i64 + 1
}

pub(super) fn after(page: PageRequest) -> i64 {
    page.after.map_or(if page.newest_first { i64::MAX } else { i64::MIN }, RowId::get)
}
