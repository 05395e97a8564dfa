//! The inbox in PostgreSQL.
//!
//! Any number of processes share it. Each accepts with group commit on a connection of its own, claims with `FOR UPDATE
//! SKIP LOCKED`, and learns by `NOTIFY` what others accepted.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
mod complete;
mod dialect;
#[path = "shared/migrations.rs"]
mod migrations;
#[path = "shared/queries/mod.rs"]
mod queries;
mod queues;
#[path = "shared/server/mod.rs"]
mod server;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/settings_table.rs"]
mod settings_table;
#[path = "shared/store.rs"]
mod store;
mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::Integer;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection as _, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::{FutureExt as _, StreamExt as _};
use jaas_core::store::StoreError;
use jaas_core::telemetry::target;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::PostgresStore as Store;
use self::PostgresStoreBuilder as Builder;
use self::server::{Plan, Shared, Source, dedicated};
pub use self::settings_table::SettingsTable;
use crate::error::{not_in_time, unavailable};

/// The connection of a PostgreSQL transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a transactional
/// handler. Use it with [`diesel_async::RunQueryDsl`].
pub type Connection = AsyncPgConnection;

/// A pool of such connections.
pub type Pool = diesel_async::pooled_connection::bb8::Pool<Connection>;

/// An [`EventStore`](jaas_core::store::EventStore) in PostgreSQL, 12 or later, for any number of processes.
///
/// ```no_run
/// use jaas_diesel::PostgresStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::open("postgres://app:secret@db.example.com/app?sslmode=require").await?;
/// # Ok(())
/// # }
/// ```
///
/// - **Schema**: the tables, named `jaas_…`, are in the schema that the connection has chosen, for example with
///   `?options=-c%20search_path%3Dwebhooks` in the address.
/// - **TLS**: with `sslmode=require` in the address the server's certificate is checked against those the system trusts,
///   or those given to [`root_certificates`](PostgresStoreBuilder::root_certificates). The default, `prefer`, encrypts
///   when the server can, and trusts any unless it is given some; `disable` does not encrypt.
/// - **Time**: leases and retries go by the database's clock.
/// - **Poolers** such as PgBouncer must be in session mode: prepared statements and `LISTEN` are used.
/// - **Connections**: besides those of the pool, the store holds four of its own: to accept, to claim, to complete, to listen.
///
/// Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

/// Opens a [`PostgresStore`].
#[must_use]
pub struct PostgresStoreBuilder {
    plan: Plan,
}

impl PostgresStore {
    /// Connects to this address with a pool of up to 20 connections, and brings the tables up to date. See
    /// [tokio-postgres](https://docs.rs/tokio-postgres/latest/tokio_postgres/config/struct.Config.html) for what an
    /// address may hold.
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Starts with a database at this address.
    pub fn builder(url: impl Into<String>) -> PostgresStoreBuilder {
        let url = url.into();
        let own = Own { url, max_size: 20, roots: None };
        PostgresStoreBuilder { plan: Plan::new(Source::Own(own)) }
    }

    /// Starts with the application's pool. The store also opens connections of its own with it, outside the pool.
    pub fn from_pool(pool: Pool) -> PostgresStoreBuilder {
        PostgresStoreBuilder { plan: Plan::new(Source::Pool(pool)) }
    }
}

impl PostgresStoreBuilder {
    /// How many connections the store's own pool may have. Each transactional handler that runs takes one. Defaults to
    /// 20; with [`from_pool`](PostgresStore::from_pool) the pool decides.
    pub fn pool_size(mut self, connections: u32) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.max_size = connections.max(1);
        }
        self
    }

    /// Trusts these certificates, in PEM, instead of those the system trusts. A pool of the application's brings its
    /// own.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.roots = Some(pem.into());
        }
        self
    }
}

/// The store's own pool.
struct Own {
    url: String,
    max_size: u32,
    roots: Option<Vec<u8>>,
}

impl Own {
    async fn pool(&self, timeout: Duration) -> Result<Pool, StoreError> {
        const OPERATION: &str = "parse the address of the PostgreSQL database";
        // The parser names the parameter and the place, and not what is there.
        let mut config: tokio_postgres::Config = self
            .url
            .parse()
            .map_err(|error: tokio_postgres::Error| unavailable(OPERATION, with_cause(&error)))?;
        if config.get_connect_timeout().is_none() {
            // For each host: the last host must have its turn within the timeout when the others do not answer.
            let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
            config.connect_timeout(timeout / u32::try_from(hosts).unwrap_or(1).max(1));
        }
        let tls = tls::connector(&config, self.roots.clone()).await?;
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |_| {
            let (config, tls) = (config.clone(), tls.clone());
            async move { connect(&config, tls).await }.boxed()
        });
        // Asking the server before each use would cost as much as most of what is then asked; a connection that was
        // closed is known to be.
        manager.recycling_method =
            RecyclingMethod::CustomFunction(Box::new(|connection: &mut Connection| {
                let broken = connection.is_broken();
                let known =
                    if broken { Err(diesel::result::Error::BrokenTransactionManager) } else { Ok(()) };
                std::future::ready(known).boxed()
            }));
        let manager = AsyncDieselConnectionManager::new_with_config("", manager);
        Ok(Pool::builder()
            .max_size(self.max_size)
            .connection_timeout(timeout)
            .retry_connection(false)
            .build_unchecked(manager))
    }
}

/// The driver's error with its cause, which says more than it does.
fn with_cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

async fn connect(
    config: &tokio_postgres::Config,
    tls: Option<tls::Connector>,
) -> diesel::ConnectionResult<Connection> {
    let failed = |error: tokio_postgres::Error| diesel::ConnectionError::BadConnection(with_cause(&error));
    let mut connection = match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(failed)?;
            Connection::try_from_client_and_connection(client, connection).await?
        }
        None => {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(failed)?;
            Connection::try_from_client_and_connection(client, connection).await?
        }
    };
    // A process that is stopped in the middle of a transaction must not hold up the others forever.
    connection
        .batch_execute("SET idle_in_transaction_session_timeout = '60s'")
        .await
        .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// The channel on which stores notify those of other processes of work.
const CHANNEL: &str = "jaas_events";

/// The least time between two notifications: each takes a lock that all notifiers share.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);

/// Notifies other processes of what this store accepts, and wakes the workers of this process when another notifies it. Never
/// returns; while there is no connection, workers find events when they poll.
async fn listen(pool: Pool, timeout: Duration, accepted: Arc<Notify>, wakeups: Arc<watch::Sender<u64>>) {
    const AGAIN: Duration = Duration::from_secs(1);
    let wake = || wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    loop {
        match listening(&pool, timeout).await {
            Ok(connection) => {
                // A notification that came meanwhile was lost.
                wake();
                let Err(error) = exchange(connection, timeout, &accepted, wake).await;
                tracing::debug!(target: target::STORE, %error, "the connection that listens for new events was lost");
            }
            Err(error) => {
                tracing::debug!(target: target::STORE, %error, "cannot listen for new events of other processes");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn exchange(
    mut connection: Connection,
    timeout: Duration,
    accepted: &Notify,
    wake: impl Fn(),
) -> Result<Infallible, StoreError> {
    const OPERATION: &str = "listen for new events";
    let mut notified_at = Instant::now();
    let mut own_backend = None;
    loop {
        let accepts = {
            let mut notifications = std::pin::pin!(connection.notifications_stream());
            let due = async {
                tokio::time::sleep_until(notified_at + NOTIFY_INTERVAL).await;
                accepted.notified().await;
            };
            tokio::select! {
                heard = notifications.next() => {
                    let heard = heard.ok_or_else(|| unavailable(OPERATION, "the connection was closed"))?;
                    let heard = heard.map_err(|error| unavailable(OPERATION, error))?;
                    // The workers of this process know what this store has accepted.
                    if own_backend != Some(heard.process_id) {
                        wake();
                    }
                    false
                }
                () = due => true,
            }
        };
        if accepts {
            notified_at = Instant::now();
            let notify = async {
                if own_backend.is_none() {
                    let backend = diesel::select(sql::<Integer>("pg_backend_pid()"));
                    own_backend = Some(backend.get_result::<i32>(&mut connection).await?);
                }
                connection.batch_execute(&format!("NOTIFY {CHANNEL}")).await
            };
            tokio::time::timeout(timeout, notify)
                .await
                .map_err(|_| not_in_time(OPERATION, timeout))?
                .map_err(|error| unavailable(OPERATION, error))?;
        }
    }
}

async fn listening(pool: &Pool, timeout: Duration) -> Result<Connection, StoreError> {
    const OPERATION: &str = "listen for new events";
    let mut connection = dedicated(pool, timeout).await?;
    // No notification is worth waiting for the disk.
    let listen = format!("SET synchronous_commit = off; LISTEN {CHANNEL}");
    tokio::time::timeout(timeout, connection.batch_execute(&listen))
        .await
        .map_err(|_| not_in_time(OPERATION, timeout))?
        .map_err(|error| unavailable(OPERATION, error))?;
    Ok(connection)
}
