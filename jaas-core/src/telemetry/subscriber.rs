//! Who hears of a future: which subscriber of a task, and which span.

use std::future::Future;

use futures_util::future::Either;
use tracing::Span;
use tracing::dispatcher;
use tracing::instrument::{Instrument as _, WithSubscriber as _};
use tracing::subscriber::NoSubscriber;

/// The future with the subscriber of the caller that starts it, for a task. When there is none yet, nothing is attached: what is
/// attached wins over the global subscriber, and one that does nothing would keep the task silent forever.
pub(crate) fn heard<F: Future>(task: F) -> impl Future<Output = F::Output> {
    let subscriber = dispatcher::get_default(|found| (!found.is::<NoSubscriber>()).then(|| found.clone()));
    match subscriber {
        Some(subscriber) => Either::Left(task.with_subscriber(subscriber)),
        None => Either::Right(task),
    }
}

/// The future inside of the span, if anybody listens to it.
pub(crate) fn inside<F: Future>(span: &Span, future: F) -> impl Future<Output = F::Output> {
    if span.is_disabled() { Either::Left(future) } else { Either::Right(future.instrument(span.clone())) }
}
