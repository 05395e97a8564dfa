//! What the stores on a database server have in common: a pool of connections, and tasks that each own one connection.
//!
//! Compiled twice, as the module `server` of `postgres` and of `mysql`. In these files `Connection` is `AsyncPgConnection`
//! or `AsyncMysqlConnection`; `dialect`, `queries`, `accept`, `complete`, `listen` and `pool` are the backend's modules of
//! these names.
//!
//! Accepting, claiming and completing have a connection each, owned by a task (`accepting`, `claiming`, `completing`).
//! Everything else runs in a task on a connection of the pool (`pooled`), so that it comes to its end even when its caller
//! no longer waits for it.

mod accepting;
mod claiming;
mod completing;
pub(super) mod connecting;
mod lending;
pub(super) mod plan;
pub(super) mod pooled;
mod transaction;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::Timestamp;
use jaas_core::store::hand_over::HandOver;
use jaas_core::telemetry::target;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::accepting::Accepting;
use self::claiming::Claiming;
use self::completing::Completing;
use super::dialect::Connection;
use crate::group::Group;
use crate::now::Now;

/// How many times a statement is tried when the database undoes it because of another statement.
const TRIES: usize = 8;

/// Waits before the next try, for a random time of up to some ms: two that were in each other's way would meet again if both tried
/// immediately.
async fn before_retry(tries: usize) {
    let random = RandomState::new().hash_one(tries);
    tokio::time::sleep(Duration::from_micros(random % (500 << tries))).await;
}

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

impl Shared {
    /// Runs what is queued to its end, and closes the connections outside the pool.
    pub(super) async fn close(&self) {
        self.accepts.close();
        self.claims.close();
        self.completions.close();
        self.tasks.close();
        self.listening.cancel();
        if timeout(self.timeout * 2, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                target: target::STORE,
                "store closed while calls were waiting for the database; the database may still commit what they have sent"
            );
        }
    }

    pub(super) fn pool(&self) -> &Pool<Connection> {
        &self.pool
    }

    /// The database's time, unless the store was built to use the caller's.
    pub(super) fn now(&self, callers: Timestamp) -> Now {
        if self.callers_time { Now::given(callers) } else { Now::of_the_database() }
    }

    /// Remembers a worker that takes events as they are accepted.
    pub(super) fn offer(&self, to: HandOver) {
        self.hand_overs.lock().push(to);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    pub(super) fn wake(&self) {
        wake(&self.wakeups);
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
