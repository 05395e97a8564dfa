//! Serving until told to stop.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves until `stop` is ready; then takes no new connections and lets running requests end, for at most `grace`. The
/// sender delivers again what was cut off.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let (stopping, stops) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        // Nobody listens any more when the server has ended by itself.
        let _ = stopping.send(());
    });
    let patience = async {
        match stops.await {
            Ok(()) => tokio::time::sleep(grace).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = patience => {
            tracing::warn!(?grace, "some requests took too long to end; they are cut off");
            Ok(())
        }
    }
}
