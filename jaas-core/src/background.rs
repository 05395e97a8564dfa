//! The owner of a task that runs until it is stopped.

use std::future::Future;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::telemetry;

/// A task that runs until it is stopped. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Background {
    /// Starts the task on the current runtime. When stopped, it ends wherever it waits.
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

    /// Ends the task and waits for it.
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
