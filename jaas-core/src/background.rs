//! The owner of a task that goes on until it is told to stop.

use std::future::Future;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::telemetry;

/// A task that goes on. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Background {
    /// Starts it on the current runtime. Told to stop, it ends wherever it waits.
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let until_stopped = async move {
            tokio::select! {
                _ = stopped => {}
                () = work => {}
            }
        };
        Self { stop: Some(stop), task: tokio::spawn(telemetry::heard(until_stopped)) }
    }

    /// Ends it and waits for that.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.task.abort();
    }
}
