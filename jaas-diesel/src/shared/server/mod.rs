//! A store on a database server, over a pool of connections. A module of each such backend, like `queries`.
//!
//! Accepting, claiming and completing have connections of their own, each owned by a task. Everything else runs in a task, on a
//! connection of the pool, so that it ends well also when its caller does not wait for it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use jaas_core::store::{
    Accepted, Burial, Claim, ClaimRequest, HandOver, Lease, Slot, Step, StoreError, StoreErrorKind, TxWork,
};
use jaas_core::telemetry::target;
use jaas_core::{MAX_INDEXED_BYTES, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::dialect::{self, Connection};
use super::lending::{Lent, lend};
use super::{Builder, Own, Store, migrations, queries, transaction};
use crate::error::{closed, not_in_time, unavailable};
use crate::group::{Commit, Group};
use crate::migrations::{Migration, MigrationError};
use crate::now::Now;
use crate::rows::{Claimant, NewEvent, NewQuarantined, Success};

/// How often a statement is tried that ran into another one.
const TRIES: usize = 5;

/// More bytes than an event has besides its body.
const COLUMNS: usize = 4 * 1024;

/// How many claims may wait; each worker asks for one at a time.
const CLAIMS: usize = 64;

/// What the clones of a store share.
pub(super) struct Shared {
    pool: Pool<Connection>,
    time_limit: Duration,
    callers_time: bool,
    accepts: Group<Accepting>,
    claims: Group<Claiming>,
    completions: Group<Completing>,
    hand_overs: Arc<Mutex<Vec<HandOver>>>,
    wakeups: Arc<watch::Sender<u64>>,
    tasks: TaskTracker,
    listening: CancellationToken,
    /// Ends the listening when the last clone goes.
    _ended: DropGuard,
}

/// What a store is built from.
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) queue: usize,
    pub(super) time_limit: Duration,
    pub(super) migrate: bool,
    pub(super) callers_time: bool,
}

/// Where connections come from.
pub(super) enum Source {
    /// The application's pool.
    Pool(Pool<Connection>),
    /// A pool of the store's own.
    Own(Own),
}

impl Plan {
    pub(super) fn new(source: Source) -> Self {
        Self { source, queue: 1024, time_limit: Duration::from_secs(5), migrate: true, callers_time: false }
    }

    async fn pool(&self) -> Result<Pool<Connection>, StoreError> {
        match &self.source {
            Source::Pool(pool) => Ok(pool.clone()),
            Source::Own(own) => own.pool(self.time_limit).await,
        }
    }
}

/// Work on a connection that can be tried again.
pub(super) type Work<T> = Box<
    dyn for<'c> Fn(&'c mut Connection) -> Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'c>>
        + Send
        + Sync,
>;

/// Asks something on a connection of the pool; what is captured is cloned.
macro_rules! asked {
    (wake, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        let done = super::dialect::asked!(write, $store, $operation, [$($captured),*] $connection => $query);
        $store.wake();
        done
    }};
    ($how:ident, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let work: super::server::Work<_> = Box::new(move |$connection| {
            $(let $captured = $captured.clone();)*
            Box::pin(async move { $query.await })
        });
        $store.on_connection($operation, work).await
    }};
}
pub(super) use asked;

impl Store {
    /// Runs what is queued to its end and closes the connections outside the pool. Every call after it answers
    /// [`Closed`](jaas_core::store::StoreErrorKind::Closed). The pool's connections are closed with its last clone.
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.accepts.close();
        shared.claims.close();
        shared.completions.close();
        shared.tasks.close();
        shared.listening.cancel();
        if timeout(shared.time_limit * 2, shared.tasks.wait()).await.is_err() {
            tracing::warn!(target: target::STORE, "the database did not answer what was asked before the store was closed");
        }
    }

    /// The pool the store takes its connections from, for the application's own queries.
    pub fn pool(&self) -> &Pool<Connection> {
        &self.shared.pool
    }

    pub(super) fn now(&self, callers: Timestamp) -> Now {
        if self.shared.callers_time { Now::given(callers) } else { Now::of_the_database() }
    }

    pub(super) fn wake(&self) {
        self.shared.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    async fn limited<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.shared.time_limit;
        timeout(limit, work).await.unwrap_or_else(|_| Err(not_in_time(operation, limit)))
    }

    async fn connection(&self, operation: &str) -> Result<PooledConnection<'static, Connection>, StoreError> {
        if self.shared.tasks.is_closed() {
            return Err(closed(operation));
        }
        lend(&self.shared.pool, &self.shared.tasks, operation, self.shared.time_limit).await
    }

    /// Does this on a connection of the pool, in a task of its own.
    pub(super) async fn on_connection<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: Work<T>,
    ) -> Result<T, StoreError> {
        if self.shared.tasks.is_closed() {
            return Err(closed(operation));
        }
        let store = self.clone();
        let task = self
            .shared
            .tasks
            .spawn(async move { store.limited(operation, store.tried(operation, &work)).await });
        task.await.map_err(|error| unavailable(operation, error))?
    }

    /// Runs work in a transaction: with something to complete, which is committed with it, or else to be rolled back.
    pub(super) async fn in_transaction(
        &self,
        completing: Option<(Lease, Step, Now)>,
        work: TxWork<Connection>,
    ) -> Result<transaction::Ran, StoreError> {
        const OPERATION: &str = transaction::OPERATION;
        if self.shared.tasks.is_closed() {
            return Err(closed(OPERATION));
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        let run = transaction::Run { completing, work, answer };
        let store = self.clone();
        // In a task, so that nothing on the connection is cut off with the caller: it would be left with an answer that it
        // has not read.
        self.shared.tasks.spawn(async move {
            match store.connection(OPERATION).await {
                Ok(connection) => run.on(connection, store.shared.time_limit).await,
                Err(error) => {
                    let _ = run.answer.send(Err(error));
                }
            }
        });
        answered.await.unwrap_or_else(|_| Err(unavailable(OPERATION, "the work panicked")))
    }

    async fn tried<T>(&self, operation: &'static str, work: &Work<T>) -> Result<T, StoreError> {
        let mut lent = Lent::new(self.connection(operation).await?);
        let mut tries = 1;
        let result = loop {
            match work(lent.connection()).await {
                // Two statements were in each other's way, and the database has undone this one.
                Err(error) if dialect::can_be_tried_again(&error) && tries < TRIES => tries += 1,
                // A connection to a server that has become a replica. The pool may have others, to the one that is behind the
                // address now.
                Err(error) if dialect::is_read_only(&error) && tries < TRIES => {
                    tries += 1;
                    drop(lent);
                    lent = Lent::new(self.connection(operation).await?);
                }
                result => break result,
            }
        };
        // One that is of no use does not go back to the pool.
        if !result.as_ref().is_err_and(dialect::is_lost) {
            lent.answered();
        }
        result.map_err(|error| unavailable(operation, error))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("pool", &self.shared.pool.state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address of a database holds its password.
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("time_limit", &self.plan.time_limit)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// How many events may wait for their commit; a delivery beyond that is answered 503. Defaults to 1024.
    pub fn queue(mut self, events: usize) -> Self {
        self.plan.queue = events;
        self
    }

    /// How long a call may wait for the database before it is
    /// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable). Handlers' transactions are not limited by it.
    /// Defaults to 5 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.plan.time_limit = limit;
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
        let pool = self.plan.pool().await?;
        let limit = self.plan.time_limit;
        check_session(&pool, limit).await?;
        let mut connection = fit(&pool, limit).await?;
        let migrated = if self.plan.migrate {
            // Not limited: a migration takes as long as it takes.
            migrations::apply(&mut connection).await.map(drop)
        } else {
            migrations::check(&mut connection).await
        };
        migrated.map_err(|error| unavailable("bring the tables up to date", error))?;
        dialect::check_tables(&mut connection).await.map_err(|error| unavailable("open the store", error))?;
        dialect::check_durability(&mut connection)
            .await
            .map_err(|error| unavailable("open the store", error))?;
        let wakeups = Arc::new(watch::Sender::new(0));
        let hand_overs = Arc::<Mutex<Vec<HandOver>>>::default();
        let (callers_time, accepted) = (self.plan.callers_time, Arc::new(Notify::new()));
        let accepting = Accepting {
            pool: pool.clone(),
            time_limit: limit,
            callers_time,
            accepted: accepted.clone(),
            hand_overs: hand_overs.clone(),
            wakeups: wakeups.clone(),
        };
        let completing = Completing { pool: pool.clone(), time_limit: limit, callers_time };
        let (accepts, accepting) = Group::new(accepting, self.plan.queue.max(1), limit);
        let claiming =
            Claiming { pool: pool.clone(), time_limit: limit, callers_time, wakeups: wakeups.clone() };
        let (claims, claiming) = Group::new(claiming, CLAIMS, limit);
        let (completions, completing) = Group::new(completing, self.plan.queue.max(1), limit);
        let tasks = TaskTracker::new();
        tasks.spawn(accepting);
        tasks.spawn(claiming);
        tasks.spawn(completing);
        let listening = CancellationToken::new();
        let listen = super::listen(pool.clone(), limit, accepted, wakeups.clone());
        tasks.spawn(listening.clone().run_until_cancelled_owned(listen));
        let ended = listening.clone().drop_guard();
        Ok(Store {
            shared: Arc::new(Shared {
                pool,
                time_limit: limit,
                callers_time,
                accepts,
                claims,
                completions,
                hand_overs,
                wakeups,
                tasks,
                listening,
                _ended: ended,
            }),
        })
    }

    /// Applies pending migrations; answers them. Processes that do so at once take turns.
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

    /// Reverts the migration applied last, and answers it. **What its tables hold is gone.**
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn revert_migration(&self) -> Result<Option<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::revert(&mut connection).await.map_err(not_migrated)
    }

    async fn migrating(&self) -> Result<Connection, StoreError> {
        fit(&self.plan.pool().await?, self.plan.time_limit).await
    }
}

fn not_migrated(error: MigrationError) -> StoreError {
    unavailable("migrate the tables", error)
}

/// Fails when the connections of a pool are not as the statements need them.
async fn check_session(pool: &Pool<Connection>, limit: Duration) -> Result<(), StoreError> {
    const OPERATION: &str = "connect to the database";
    let checked = timeout(limit, async {
        let mut connection =
            pool.dedicated_connection().await.map_err(|error| unavailable(OPERATION, error))?;
        dialect::check_session(&mut connection).await.map_err(|error| unavailable(OPERATION, error))
    });
    checked.await.map_err(|_| not_in_time(OPERATION, limit))?
}

/// A connection outside the pool, to a database that the tables can be made in.
async fn fit(pool: &Pool<Connection>, limit: Duration) -> Result<Connection, StoreError> {
    const OPERATION: &str = "use this database";
    let mut connection = dedicated(pool, limit).await?;
    let checked = timeout(limit, dialect::check_database(&mut connection)).await;
    checked.map_err(|_| not_in_time(OPERATION, limit))?.map_err(|error| unavailable(OPERATION, error))?;
    Ok(connection)
}

/// A connection outside the pool.
pub(super) async fn dedicated(pool: &Pool<Connection>, limit: Duration) -> Result<Connection, StoreError> {
    const OPERATION: &str = "connect to the database";
    let connected = timeout(limit, async {
        let mut connection =
            pool.dedicated_connection().await.map_err(|error| unavailable(OPERATION, error))?;
        let prepared = async {
            dialect::prepare(&mut connection).await?;
            dialect::lift_limits(&mut connection).await
        };
        prepared.await.map_err(|error| unavailable(OPERATION, error))?;
        Ok(connection)
    });
    connected.await.map_err(|_| not_in_time(OPERATION, limit))?
}

/// The same, for a task that owns it: nothing on it takes longer than the limit, and it plans for queues.
async fn limited(pool: &Pool<Connection>, limit: Duration) -> Result<Connection, StoreError> {
    let mut connection = dedicated(pool, limit).await?;
    let failed = |error| unavailable("connect to the database", error);
    dialect::limit_statements(&mut connection, limit).await.map_err(failed)?;
    dialect::plan_for_queues(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

/// Stores events in groups.
pub(super) struct Accepting {
    pool: Pool<Connection>,
    time_limit: Duration,
    callers_time: bool,
    /// Told when something was accepted that other processes may run.
    accepted: Arc<Notify>,
    hand_overs: Arc<Mutex<Vec<HandOver>>>,
    wakeups: Arc<watch::Sender<u64>>,
}

impl Accepting {
    /// The time by which claims are given back. With the caller's time everything is due that waits.
    fn now(&self) -> Now {
        if self.callers_time { Now::given(Timestamp::from_millis(0)) } else { Now::of_the_database() }
    }

    /// A number for the claims of one group. Later claims of an event count on from it.
    fn first_fence(&self) -> i64 {
        let random = RandomState::new().hash_one(Arc::as_ptr(&self.hand_overs) as usize);
        // Far from the fences that claims count to, and with as much room again above.
        i64::try_from(random >> 3).unwrap_or(1) + (1 << 32)
    }

    /// Room for so many events in workers of this process.
    fn slots(&self, events: usize) -> Vec<(Slot, Claimant)> {
        let mut hand_overs = self.hand_overs.lock().unwrap_or_else(PoisonError::into_inner);
        hand_overs.retain(|hand_over| !hand_over.is_closed());
        let fence = self.first_fence();
        let slots = hand_overs.iter().flat_map(|hand_over| {
            let claimant = Claimant { worker: hand_over.worker().clone(), lease: hand_over.lease(), fence };
            std::iter::from_fn(|| hand_over.slot()).map(move |slot| (slot, claimant.clone()))
        });
        slots.take(events).collect()
    }
}

impl Commit for Accepting {
    type Connection = Connection;
    type Item = NewEvent;
    type Answer = Accepted;

    const OPERATION: &'static str = "store the event";

    fn bytes(event: &NewEvent) -> usize {
        event.body.len() + COLUMNS
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = limited(&self.pool, self.time_limit).await?;
        let planned = dialect::plan_for_groups(&mut connection).await;
        planned.map_err(|error| unavailable("connect to the database", error))?;
        Ok(connection)
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        events: &mut [NewEvent],
        again: bool,
    ) -> QueryResult<Vec<Accepted>> {
        if again {
            // Nobody has got the claims that the lost commit may have given.
            let events: Vec<&NewEvent> = events.iter().filter(|event| event.claimant.is_some()).collect();
            queries::unclaim_new(connection, &events).await?;
        }
        let slots = if again || !dialect::HANDS_OVER { Vec::new() } else { self.slots(events.len()) };
        let mut slots = slots.into_iter();
        let mut taken: Vec<Option<Slot>> = Vec::with_capacity(events.len());
        for event in events.iter_mut() {
            let (slot, claimant) = slots.next().unzip();
            event.claimant = claimant;
            taken.push(slot);
        }
        let events: Vec<&NewEvent> = events.iter().collect();
        let outcomes = queries::accept(connection, &events, self.callers_time).await?;
        // What an earlier try may have stored, nobody was told of.
        let mut wake = again;
        let mut unclaimed = Vec::new();
        let mut answers = Vec::with_capacity(outcomes.len());
        for ((outcome, event), slot) in outcomes.into_iter().zip(events).zip(taken) {
            match (outcome.lease, slot) {
                (Some(lease), Some(slot)) => {
                    if slot.give(event.claim(lease)).is_err() {
                        unclaimed.push(lease);
                    }
                }
                (Some(lease), None) => unclaimed.push(lease),
                (None, _) => wake |= outcome.accepted == Accepted::New,
            }
            answers.push(outcome.accepted);
        }
        if !unclaimed.is_empty() {
            // The worker is gone. Were this to fail, they would be run again when their leases end.
            let _ = queries::give_back(connection, &unclaimed, self.now()).await;
            wake = true;
        }
        if wake {
            self.accepted.notify_one();
            self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
        }
        Ok(answers)
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}

/// Burials that were committed. They are reported also when the claim fails after them, or is dropped by its time limit.
struct Buried(Vec<Burial>);

impl Drop for Buried {
    fn drop(&mut self) {
        self.0.iter().for_each(Burial::report);
    }
}

/// Claims.
pub(super) struct Claiming {
    pool: Pool<Connection>,
    time_limit: Duration,
    callers_time: bool,
    wakeups: Arc<watch::Sender<u64>>,
}

impl Claiming {
    /// The time by which claims are given back. With the caller's time everything is due that waits.
    fn now(&self) -> Now {
        if self.callers_time { Now::given(Timestamp::from_millis(0)) } else { Now::of_the_database() }
    }
}

impl Commit for Claiming {
    type Connection = Connection;
    type Item = ClaimRequest;
    type Answer = Vec<Claim>;

    const OPERATION: &'static str = "claim events";

    // So that what one has claimed does not depend on how the next one ends.
    const MAX_ITEMS: usize = 1;

    async fn connect(&self) -> Result<Connection, StoreError> {
        limited(&self.pool, self.time_limit).await
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        requests: &mut [ClaimRequest],
        _: bool,
    ) -> QueryResult<Vec<Vec<Claim>>> {
        let mut claims = Vec::with_capacity(requests.len());
        for request in requests {
            let now = if self.callers_time { Now::given(request.now) } else { Now::of_the_database() };
            let mut tries = 1;
            let rows = loop {
                let mut buried = Buried(Vec::new());
                match queries::claim(connection, request, now, &mut buried.0).await {
                    Err(error) if dialect::can_be_tried_again(&error) && tries < TRIES => tries += 1,
                    result => break result?,
                }
            };
            claims.push(rows);
        }
        Ok(claims)
    }

    async fn abandoned(&mut self, connection: &mut Connection, claims: Vec<Vec<Claim>>) -> QueryResult<()> {
        // Nobody would renew claims that nobody waits for.
        let leases: Vec<Lease> = claims.iter().flatten().map(|claim| claim.lease).collect();
        queries::give_back(connection, &leases, self.now()).await?;
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
        Ok(())
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}

/// Records successful runs in groups.
pub(super) struct Completing {
    pool: Pool<Connection>,
    time_limit: Duration,
    callers_time: bool,
}

impl Commit for Completing {
    type Connection = Connection;
    type Item = (Success, Timestamp);
    type Answer = Result<Option<Claim>, StoreError>;

    const OPERATION: &'static str = "complete the event";

    async fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = limited(&self.pool, self.time_limit).await?;
        let prepared = dialect::prepare_completions(&mut connection).await;
        prepared.map_err(|error| unavailable("connect to the database", error))?;
        Ok(connection)
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        successes: &mut [(Success, Timestamp)],
        _: bool,
    ) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
        let given = successes.iter().map(|(_, now)| *now).max();
        let now = match given.filter(|_| self.callers_time) {
            Some(given) => Now::given(given),
            None => Now::of_the_database(),
        };
        let successes: Vec<&Success> = successes.iter().map(|(success, _)| success).collect();
        dialect::complete_all(connection, &successes, now).await
    }

    fn is_lost(error: &diesel::result::Error) -> bool {
        dialect::is_lost(error)
    }
}

/// Keeps a body as durably as an event: its sender gets a 2xx for it, too.
async fn quarantine(connection: &mut Connection, body: &NewQuarantined) -> QueryResult<()> {
    dialect::prepare(connection).await?;
    queries::quarantine(connection, body).await
}

/// What `shared/store.rs` does not do with a connection of the pool.
impl Store {
    /// Stores an event in the next group.
    pub(super) async fn store_event(&self, event: NewEvent) -> Result<Accepted, StoreError> {
        const OPERATION: &str = Accepting::OPERATION;
        if event.endpoint.len() > MAX_INDEXED_BYTES {
            // A receiver has no such name. MySQL would cut it off and say nothing.
            let why =
                format!("cannot {OPERATION}: its endpoint's name has more than {MAX_INDEXED_BYTES} bytes");
            return Err(StoreError::new(StoreErrorKind::Refused, why));
        }
        let answered = self.shared.accepts.try_ask(event)?;
        self.limited(OPERATION, async { answered.await.unwrap_or_else(|_| Err(closed(OPERATION))) }).await
    }

    pub(super) async fn keep_unreadable(&self, body: NewQuarantined) -> Result<(), StoreError> {
        let body = Arc::new(body);
        asked!(write, self, "quarantine the body", [body] connection => quarantine(connection, &body))
    }

    pub(super) async fn claim_events(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.limited(Claiming::OPERATION, self.shared.claims.ask(request)).await
    }

    pub(super) async fn record_success(
        &self,
        success: Success,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.limited(Completing::OPERATION, self.shared.completions.ask((success, now))).await?
    }

    /// Remembers a worker that takes events as they are accepted.
    pub(super) fn offer(&self, to: HandOver) {
        self.shared.hand_overs.lock().unwrap_or_else(PoisonError::into_inner).push(to);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.wakeups.subscribe()
    }
}
