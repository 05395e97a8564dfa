//! Opening a store on a server, and its migrations. `Builder` and `Store` are those of the backend that compiles this file;
//! `Connection`, `dialect` and `migrations` too.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::store::{HandOver, StoreError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::dialect::{self, Connection};
use super::super::{Builder, Own, Store, listen, migrations};
use super::Shared;
use super::accepting::Accepting;
use super::claiming::Claiming;
use super::completing::Completing;
use super::connecting::{check_session, fit};
use crate::error::unavailable;
use crate::group::Group;
use crate::migrations::{Migration, MigrationError};

/// How many claims may wait; each worker asks for one at a time.
const CLAIMS: usize = 64;

/// What a store is built from.
pub(in super::super) struct Plan {
    pub(in super::super) source: Source,
    queue: usize,
    timeout: Duration,
    migrate: bool,
    callers_time: bool,
}

/// Where connections come from.
pub(in super::super) enum Source {
    /// The application's pool.
    Pool(Pool<Connection>),
    /// The store's own pool.
    Own(Own),
}

impl Plan {
    pub(in super::super) fn new(source: Source) -> Self {
        Self { source, queue: 1024, timeout: Duration::from_secs(5), migrate: true, callers_time: false }
    }

    async fn pool(&self) -> Result<Pool<Connection>, StoreError> {
        match &self.source {
            Source::Pool(pool) => Ok(pool.clone()),
            Source::Own(own) => own.pool(self.timeout).await,
        }
    }
}

impl Builder {
    /// How many events may wait for their commit; a delivery beyond that gets a 503. Defaults to 1024.
    pub fn queue(mut self, events: usize) -> Self {
        self.plan.queue = events;
        self
    }

    /// How long a call may wait for the database before it is
    /// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable). Handlers' transactions are not limited by it.
    /// Defaults to 5 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.plan.timeout = limit;
        self
    }

    /// Whether [`open`](Self::open) applies pending migrations. Otherwise it fails while there are some, and you
    /// apply them with [`apply_migrations`](Self::apply_migrations). Defaults to `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.plan.migrate = migrate;
        self
    }

    /// Takes the time from the worker's clock and not from the database. Only for tests that set the time by hand: the
    /// clocks of several processes differ.
    pub fn callers_time(mut self, callers_time: bool) -> Self {
        self.plan.callers_time = callers_time;
        self
    }

    /// Connects, and brings the tables up to date.
    ///
    /// # Errors
    /// When the database cannot be reached in time or is not fit for a store (its encoding, its engine, the size of a packet),
    /// a migration fails, or the tables were made by a newer version.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(self) -> Result<Store, StoreError> {
        const OPERATION: &str = "open the store";
        let pool = self.plan.pool().await?;
        let timeout = self.plan.timeout;
        check_session(&pool, timeout).await?;
        let mut connection = fit(&pool, timeout).await?;
        let migrated = if self.plan.migrate {
            // Without a timeout: a migration takes as long as it takes.
            migrations::apply(&mut connection).await.map(drop)
        } else {
            migrations::check(&mut connection).await
        };
        migrated.map_err(|error| unavailable("bring the tables up to date", error))?;
        let checked = dialect::check_tables(&mut connection).await;
        checked.map_err(|error| unavailable(OPERATION, error))?;
        let checked = dialect::check_durability(&mut connection).await;
        checked.map_err(|error| unavailable(OPERATION, error))?;
        Ok(Store { shared: Arc::new(self.plan.start(pool)) })
    }

    /// Applies pending migrations; returns them. Processes that do so at the same time take turns.
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn apply_migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::apply(&mut connection).await.map_err(not_migrated)
    }

    /// Lists every migration that this version knows, in order.
    ///
    /// # Errors
    /// When the database cannot be reached in time, or the tables were made by a newer version.
    pub async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::list(&mut connection).await.map_err(not_migrated)
    }

    /// Reverts the migration applied last, and returns it. **What its tables hold is gone.**
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn revert_migration(&self) -> Result<Option<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::revert(&mut connection).await.map_err(not_migrated)
    }

    async fn migrating(&self) -> Result<Connection, StoreError> {
        fit(&self.plan.pool().await?, self.plan.timeout).await
    }
}

impl Plan {
    /// Starts the tasks of a store.
    fn start(self, pool: Pool<Connection>) -> Shared {
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
        let claiming = Claiming { pool: pool.clone(), timeout, callers_time, wakeups: wakeups.clone() };
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

fn not_migrated(error: MigrationError) -> StoreError {
    unavailable("migrate the tables", error)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address of a database holds its password.
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("timeout", &self.plan.timeout)
            .finish_non_exhaustive()
    }
}
