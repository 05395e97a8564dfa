//! The owner of a task that runs until it is stopped.

use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::telemetry;

/// A task that runs until it is stopped with a `Stop`, such as a grace period, and ends with a `Done`. Dropping this aborts
/// the task.
#[derive(Debug)]
pub(crate) struct Background<Stop = (), Done = ()> {
    stop: Option<oneshot::Sender<Stop>>,
    task: JoinHandle<Done>,
}

impl Background {
    /// Starts the task on the current runtime. When stopped, it ends wherever it waits.
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::until(|stopped| async move {
            tokio::select! {
                () = stopped => {}
                () = work => {}
            }
        })
    }
}

impl<Stop: Default + Send + 'static, Done: Default + Send + 'static> Background<Stop, Done> {
    /// Starts a task on the current runtime that ends by itself after it is stopped.
    pub(crate) fn until<F>(work: impl FnOnce(BoxFuture<'static, Stop>) -> F) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(Result::unwrap_or_default).boxed();
        Self { stop: Some(stop), task: tokio::spawn(telemetry::heard(work(stopped))) }
    }

    /// Stops the task and waits for its end.
    pub(crate) async fn stop(mut self, with: Stop) -> Done {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(with);
        }
        (&mut self.task).await.unwrap_or_default()
    }

    /// Returns a check that any thread can call: does the task still run?
    pub(crate) fn liveness(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static + use<Stop, Done> {
        let task = self.task.abort_handle();
        move || !task.is_finished()
    }
}

impl<Stop, Done> Drop for Background<Stop, Done> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
