//! What a store is built from, and how its tasks start.
//!
//! Compiled twice, for `postgres` and `mysql`. `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`; `listen` and
//! `pool` are the backend's modules of these names.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::store::StoreError;
use jaas_core::store::hand_over::HandOver;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::dialect::Connection;
use super::super::listen::listen;
use super::super::pool::OwnPool;
use super::Shared;
use super::accepting::Accepting;
use super::claiming::Claiming;
use super::completing::Completing;
use crate::group::Group;

/// How many claims may wait. Each worker asks for one at a time.
const CLAIMS: usize = 64;

/// What a store is built from.
pub(in super::super) struct Plan {
    pub(in super::super) source: Source,
    pub(in super::super) queue: usize,
    pub(in super::super) timeout: Duration,
    pub(in super::super) migrate: bool,
    pub(in super::super) callers_time: bool,
}

/// Where connections come from.
pub(in super::super) enum Source {
    /// The application's pool.
    Pool(Pool<Connection>),
    /// The store's own pool, which is still to be made.
    Own(OwnPool),
}

impl Plan {
    pub(in super::super) fn new(source: Source) -> Self {
        Self { source, queue: 1024, timeout: Duration::from_secs(5), migrate: true, callers_time: false }
    }

    pub(in super::super) async fn pool(&self) -> Result<Pool<Connection>, StoreError> {
        match &self.source {
            Source::Pool(pool) => Ok(pool.clone()),
            Source::Own(own) => own.open(self.timeout).await,
        }
    }

    /// Starts the tasks of a store.
    pub(in super::super) fn start(self, pool: Pool<Connection>) -> Shared {
        let Self { queue, timeout, callers_time, .. } = self;
        let queue = queue.max(1);
        let wakeups = Arc::new(watch::Sender::new(0));
        let hand_overs = Arc::<Mutex<Vec<HandOver>>>::default();
        let accepted = Arc::new(Notify::new());
        let accepting = Accepting {
            pool: pool.clone(),
            timeout,
            callers_time,
            accepted: accepted.clone(),
            hand_overs: hand_overs.clone(),
            wakeups: wakeups.clone(),
        };
        let claiming = Claiming {
            pool: pool.clone(),
            timeout,
            callers_time,
            wakeups: wakeups.clone(),
            front: Default::default(),
        };
        let completing = Completing { pool: pool.clone(), timeout, callers_time };
        let (accepts, accepting) = Group::new(accepting, queue, timeout);
        let (claims, claiming) = Group::new(claiming, CLAIMS, timeout);
        let (completions, completing) = Group::new(completing, queue, timeout);
        let tasks = TaskTracker::new();
        tasks.spawn(accepting);
        tasks.spawn(claiming);
        tasks.spawn(completing);
        let listening = CancellationToken::new();
        let listen = listen(pool.clone(), timeout, accepted, wakeups.clone());
        tasks.spawn(listening.clone().run_until_cancelled_owned(listen));
        Shared {
            pool,
            timeout,
            callers_time,
            accepts,
            claims,
            completions,
            hand_overs,
            wakeups,
            tasks,
            _ended: listening.clone().drop_guard(),
            listening,
        }
    }
}
