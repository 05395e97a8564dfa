//! One run of one handler.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use crate::deadline::within;
use crate::delivery::Delivery;
use crate::event::{Event, EventKind};
use crate::handler::{Context, EventHandler, Handled, HandlerError, HandlerResult, Retry};
use crate::telemetry::{self, Keys, name, target};

/// Identifies the handler that runs, for logs and metrics.
pub(crate) struct Watched {
    seconds: Arc<HandlerSeconds>,
    span: Span,
}

impl Watched {
    /// Creates a run of this handler, inside the current span.
    pub(crate) fn new(seconds: &Arc<HandlerSeconds>, mode: &'static str) -> Self {
        let span = tracing::info_span!(
            target: target::WORK, name::HANDLE, handler = &*seconds.handler, mode, outcome = Empty,
        );
        Self { seconds: seconds.clone(), span }
    }
}

/// The time of runs of one handler, by kind and outcome.
pub(crate) struct HandlerSeconds {
    handler: Arc<str>,
    keys: Keys<{ EventKind::MANY * OUTCOMES.len() }>,
}

/// How a run ends, by the index of its [`Ended`].
const OUTCOMES: [&str; 6] = ["done", "ignored", "retry", "permanent", "timed_out", "panicked"];

#[derive(Clone, Copy)]
enum Ended {
    Done,
    Ignored,
    Retry,
    Permanent,
    TimedOut,
    Panicked,
}

impl HandlerSeconds {
    pub(crate) fn new(handler: Arc<str>) -> Self {
        Self { handler, keys: Keys::new() }
    }

    fn record(&self, kind: EventKind, ended: Ended, took: Duration) {
        let labels = || [self.handler.clone().into(), kind.as_str().into(), OUTCOMES[ended as usize].into()];
        let place = kind as usize * OUTCOMES.len() + ended as usize;
        let key = self.keys.at(place, || telemetry::HANDLER_SECONDS.key(labels()));
        telemetry::HANDLER_SECONDS.record_in(key, took.as_secs_f64());
    }
}

/// Runs a handler; a panic or a timeout is a failure to be retried.
pub(crate) async fn run<Tx: Send + 'static>(
    watched: Watched,
    handler: &dyn EventHandler<Tx>,
    delivery: &Delivery,
    event: &Event,
    tx: &mut Tx,
    limit: Duration,
) -> HandlerResult {
    let began = Instant::now();
    let mut cx = Context::new(delivery, tx);
    let run = AssertUnwindSafe(async { handler.any_event(&mut cx, event).await }).catch_unwind();
    let run = pin!(telemetry::inside(&watched.span, run));
    let (result, ended) = match within(began, limit, run).await {
        Some(Ok(result)) => {
            let ended = ended(&result);
            (result, ended)
        }
        Some(Err(panic)) => {
            let error = format!("the handler panicked: {}", panic_message(&*panic));
            (Err(HandlerError::retry(error)), Ended::Panicked)
        }
        None => {
            let error = format!("the handler exceeded its timeout of {limit:?}");
            (Err(HandlerError::retry(error)), Ended::TimedOut)
        }
    };
    watched.span.record("outcome", OUTCOMES[ended as usize]);
    watched.seconds.record(delivery.envelope.kind, ended, began.elapsed());
    result
}

fn ended(result: &HandlerResult) -> Ended {
    match result {
        Ok(Handled::Done) => Ended::Done,
        Ok(Handled::Ignored(_)) => Ended::Ignored,
        Err(error) if error.when_to_retry() == Retry::Never => Ended::Permanent,
        Err(_) => Ended::Retry,
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The text of an error as logged and stored. Links keep their host only, because a link in an event is a credential
/// and HTTP clients put it into their errors. The length is bounded.
pub(crate) fn error_text(error: &HandlerError) -> String {
    const MAX_CHARS: usize = 2000;
    let mut text = String::new();
    for word in error
        .to_string()
        .split_inclusive(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '<' | '>'))
    {
        match word.find("://").and_then(|scheme| Some((scheme, word.get(scheme + 3..)?))) {
            Some((scheme, rest)) => {
                let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let host = &rest[..host_end];
                let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                text.push_str(&word[..scheme + 3]);
                text.push_str(host);
                if host_end < rest.len() {
                    text.push_str("/…");
                    text.extend(rest.chars().last().filter(|c| !c.is_alphanumeric() && *c != '/'));
                }
            }
            None => text.push_str(word),
        }
    }
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_errors_keep_their_host_only() {
        for (error, text) in [
            (
                "error sending request for url (https://host.example/p/token?sig=1): timed out",
                "error sending request for url (https://host.example/…): timed out",
            ),
            ("GET https://u:p@host.example/p failed", "GET https://host.example/… failed"),
            ("no link here", "no link here"),
            ("https://host.example", "https://host.example"),
        ] {
            assert_eq!(error_text(&HandlerError::retry(error)), text);
        }
    }

    #[test]
    fn a_long_error_is_cut() {
        assert_eq!(error_text(&HandlerError::retry("é".repeat(5000))).chars().count(), 2001);
    }
}
