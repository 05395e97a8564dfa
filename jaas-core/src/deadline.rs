//! Waiting until a deadline.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// The output of the future; `None` when it is not ready so long after `began`. A future that is ready at its first poll
/// costs no timer.
pub(crate) fn within<F: Future + Unpin>(
    began: Instant,
    timeout: Duration,
    mut future: F,
) -> impl Future<Output = Option<F::Output>> {
    let mut timer = None;
    poll_fn(move |cx| {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(cx) {
            return Poll::Ready(Some(output));
        }
        // A time too far off to be one never comes.
        let Some(deadline) = began.checked_add(timeout) else { return Poll::Pending };
        // Unconstrained, or a future that uses up the task's budget would never be late.
        let timer = timer.get_or_insert_with(|| Box::pin(unconstrained(sleep_until(deadline))));
        timer.as_mut().poll(cx).map(|()| None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_that_is_late_is_dropped_at_the_deadline_and_not_before() {
        let began = Instant::now();
        let in_time = Box::pin(tokio::time::sleep(Duration::from_secs(4)));
        assert_eq!(within(began, Duration::from_secs(5), in_time).await, Some(()));
        let late = Box::pin(tokio::time::sleep(Duration::from_secs(2)));
        assert_eq!(within(began, Duration::from_secs(5), late).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_future_that_never_waits_for_anything_else_is_late_too() {
        let greedy = Box::pin(async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        });
        let limit = Duration::from_millis(20);
        assert_eq!(within(Instant::now(), limit, greedy).await, None::<()>);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_timeout_never_ends() {
        let waits = Box::pin(tokio::time::sleep(Duration::from_secs(1 << 30)));
        assert_eq!(within(Instant::now(), Duration::MAX, waits).await, Some(()));
    }
}
