//! Which subscriber hears of a task.

use std::future::Future;

use futures_util::future::Either;
use tracing::dispatcher;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// The future with the subscriber of whoever starts it, for a task. When there is none yet, nothing is attached: what is
/// attached wins over the global subscriber, and one that does nothing would keep the task silent for ever.
pub(crate) fn heard<F: Future>(task: F) -> impl Future<Output = F::Output> {
    let subscriber = dispatcher::get_default(|found| (!found.is::<NoSubscriber>()).then(|| found.clone()));
    match subscriber {
        Some(subscriber) => Either::Left(task.with_subscriber(subscriber)),
        None => Either::Right(task),
    }
}
