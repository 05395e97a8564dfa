//! The store's own pool, and how its connections are made.

use std::time::Duration;

use bb8::QueueStrategy;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection as _, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use jaas_core::store::StoreError;

use super::tls;
use crate::error::unavailable;

/// What the store's own pool is made of.
pub(super) struct OwnPool {
    pub(super) url: String,
    pub(super) max_size: u32,
    pub(super) root_certificates: Option<Vec<u8>>,
}

impl OwnPool {
    pub(super) async fn open(&self, timeout: Duration) -> Result<Pool<AsyncPgConnection>, StoreError> {
        const OPERATION: &str = "parse the address of the PostgreSQL database";
        // The parser's error names the parameter and its position, not its value, which may be a password.
        let mut config: tokio_postgres::Config = self
            .url
            .parse()
            .map_err(|error: tokio_postgres::Error| unavailable(OPERATION, with_cause(&error)))?;
        if config.get_connect_timeout().is_none() {
            // The timeout is divided among the hosts, so that the last one is tried even when the others do not respond.
            let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
            config.connect_timeout(timeout / u32::try_from(hosts).unwrap_or(1).max(1));
        }
        let tls = tls::connector(&config, self.root_certificates.clone()).await?;
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |_| {
            let (config, tls) = (config.clone(), tls.clone());
            async move { connect(&config, tls).await }.boxed()
        });
        // A check on the server before each use would cost as much as most queries do. The driver knows when a connection was
        // closed.
        manager.recycling_method =
            RecyclingMethod::CustomFunction(Box::new(|connection: &mut AsyncPgConnection| {
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
            // The server has the plans of the connection used last at hand; and connections that are not needed end.
            .queue_strategy(QueueStrategy::Lifo)
            .build_unchecked(manager))
    }
}

/// The driver's error with its cause, which says more than the error itself.
fn with_cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

async fn connect(
    config: &tokio_postgres::Config,
    tls: Option<tls::Connector>,
) -> diesel::ConnectionResult<AsyncPgConnection> {
    let failed = |error: tokio_postgres::Error| diesel::ConnectionError::BadConnection(with_cause(&error));
    let mut connection = match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(failed)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await?
        }
        None => {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(failed)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await?
        }
    };
    // A process that is stopped in the middle of a transaction must not hold its locks forever.
    connection
        .batch_execute("SET idle_in_transaction_session_timeout = '60s'")
        .await
        .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}
