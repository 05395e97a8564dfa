//! Serves until the process is asked to stop.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves until `stop` is ready. Then accepts no new connections and lets running requests finish, for at most `grace`. The
/// sender delivers interrupted requests again.
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
        // Fails only if the server has ended by itself.
        let _ = stopping.send(());
    });
    let grace_period = async {
        match stops.await {
            Ok(()) => tokio::time::sleep(grace).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = grace_period => {
            tracing::warn!(?grace, "some requests did not finish within the grace period; they are cut off");
            Ok(())
        }
    }
}
