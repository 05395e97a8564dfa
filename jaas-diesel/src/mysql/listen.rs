//! Nothing: MySQL has no `NOTIFY`. Workers find what other processes accept when they poll.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncMysqlConnection;
use diesel_async::pooled_connection::bb8::Pool;
use tokio::sync::{Notify, watch};

/// Returns immediately: there is nothing to listen to.
pub(super) async fn listen(
    _: Pool<AsyncMysqlConnection>,
    _: Duration,
    _: Arc<Notify>,
    _: Arc<watch::Sender<u64>>,
) {
}
