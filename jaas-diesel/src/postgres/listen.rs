//! `LISTEN` and `NOTIFY`: how the processes on one database learn what the others accept.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::Integer;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::StreamExt as _;
use jaas_core::store::StoreError;
use jaas_core::telemetry::target;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::server::connecting::dedicated;
use crate::error::{not_in_time, unavailable};

/// The channel on which stores notify those of other processes of work.
const CHANNEL: &str = "jaas_events";

/// The shortest interval between two notifications. Each takes a lock that all notifying processes share.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);

/// Notifies other processes when this store accepts events, and wakes the workers of this process when another process
/// notifies it. Never returns. While there is no connection, workers find events when they poll.
pub(super) async fn listen(
    pool: Pool<AsyncPgConnection>,
    timeout: Duration,
    accepted: Arc<Notify>,
    wakeups: Arc<watch::Sender<u64>>,
) {
    const RETRY_INTERVAL: Duration = Duration::from_secs(1);
    let wake = || wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    loop {
        match listening(&pool, timeout).await {
            Ok(connection) => {
                // Notifications that were sent without a connection are lost.
                wake();
                let Err(error) = exchange(connection, timeout, &accepted, wake).await;
                tracing::debug!(target: target::STORE, %error, "connection for notifications lost; reconnecting in 1 s");
            }
            Err(error) => {
                tracing::debug!(target: target::STORE, %error, "connection for notifications unavailable; retrying in 1 s");
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn exchange(
    mut connection: AsyncPgConnection,
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
                    // Its own notifications are of no use: the store has already woken the workers of this process.
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

async fn listening(
    pool: &Pool<AsyncPgConnection>,
    timeout: Duration,
) -> Result<AsyncPgConnection, StoreError> {
    const OPERATION: &str = "listen for new events";
    let mut connection = dedicated(pool, timeout).await?;
    // A notification does not have to wait for the disk.
    let listen = format!("SET synchronous_commit = off; LISTEN {CHANNEL}");
    tokio::time::timeout(timeout, connection.batch_execute(&listen))
        .await
        .map_err(|_| not_in_time(OPERATION, timeout))?
        .map_err(|error| unavailable(OPERATION, error))?;
    Ok(connection)
}
