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

/// The least time between two notifications: each takes a lock that all notifiers share.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);

/// Notifies other processes of what this store accepts, and wakes the workers of this process when another notifies it. Never
/// returns; while there is no connection, workers find events when they poll.
pub(super) async fn listen(
    pool: Pool<AsyncPgConnection>,
    timeout: Duration,
    accepted: Arc<Notify>,
    wakeups: Arc<watch::Sender<u64>>,
) {
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

async fn listening(
    pool: &Pool<AsyncPgConnection>,
    timeout: Duration,
) -> Result<AsyncPgConnection, StoreError> {
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
