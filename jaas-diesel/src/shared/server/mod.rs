//! A store on a database server, over a pool of connections. `postgres.rs` and `mysql.rs` compile this folder as a module of
//! their own: there `Store` is `PostgresStore` or `MysqlStore`, `Builder` its builder, `Connection` an `AsyncPgConnection` or
//! an `AsyncMysqlConnection`, and `dialect` the `dialect.rs` of the backend.
//!
//! Accepting, claiming and completing have a connection each, owned by a task (`accepting`, `claiming`, `completing`).
//! Everything else runs in a task on a connection of the pool (`pooled`), so that it ends well also when its caller no longer
//! waits for it.

mod accepting;
mod claiming;
mod completing;
mod connecting;
mod lending;
mod opening;
mod pooled;
mod transaction;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::Timestamp;
use jaas_core::store::HandOver;
use jaas_core::telemetry::target;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::accepting::Accepting;
use self::claiming::Claiming;
use self::completing::Completing;
#[allow(unused_imports)] // only PostgreSQL listens
pub(super) use self::connecting::dedicated;
pub(super) use self::opening::{Plan, Source};
pub(super) use self::pooled::{Work, asked};
use super::Store;
use super::dialect::Connection;
use crate::group::Group;
use crate::now::Now;

/// How often a statement is tried that another statement was in the way of.
const TRIES: usize = 5;

/// What the clones of a store share.
pub(super) struct Shared {
    pool: Pool<Connection>,
    timeout: Duration,
    callers_time: bool,
    accepts: Group<Accepting>,
    claims: Group<Claiming>,
    completions: Group<Completing>,
    hand_overs: Arc<Mutex<Vec<HandOver>>>,
    wakeups: Arc<watch::Sender<u64>>,
    tasks: TaskTracker,
    listening: CancellationToken,
    /// Ends the listening when the last clone is dropped.
    _ended: DropGuard,
}

impl Store {
    /// Runs what is queued to its end and closes the connections outside the pool. Every call after it returns
    /// [`Closed`](jaas_core::store::StoreErrorKind::Closed). The pool's connections are closed with its last clone.
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.accepts.close();
        shared.claims.close();
        shared.completions.close();
        shared.tasks.close();
        shared.listening.cancel();
        if timeout(shared.timeout * 2, shared.tasks.wait()).await.is_err() {
            tracing::warn!(target: target::STORE, "the database did not answer what was asked before the store was closed");
        }
    }

    /// The pool the store takes its connections from, for the application's own queries.
    pub fn pool(&self) -> &Pool<Connection> {
        &self.shared.pool
    }

    /// The database's time, unless the store was built to use the caller's.
    pub(super) fn now(&self, callers: Timestamp) -> Now {
        if self.shared.callers_time { Now::given(callers) } else { Now::of_the_database() }
    }

    /// Remembers a worker that takes events as they are accepted.
    pub(super) fn offer(&self, to: HandOver) {
        self.shared.hand_overs.lock().unwrap_or_else(PoisonError::into_inner).push(to);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.wakeups.subscribe()
    }

    pub(super) fn wake(&self) {
        wake(&self.shared.wakeups);
    }
}

/// Wakes the workers of this process.
fn wake(wakeups: &watch::Sender<u64>) {
    wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
}

/// The time at which a task gives claims back. With the caller's time every event that waits is due.
fn give_back_at(callers_time: bool) -> Now {
    if callers_time { Now::given(Timestamp::from_millis(0)) } else { Now::of_the_database() }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("pool", &self.shared.pool.state())
            .finish_non_exhaustive()
    }
}
