//! From a request to a reply, for any web framework.

mod builder;
mod counts;
mod parsed;
mod question;
mod refusals;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::{Empty, display};

pub use self::builder::ReceiverBuilder;
use self::counts::Counts;
use self::parsed::Parsed;
use self::question::{Arrivals, Question};
use self::refusals::Refusals;
use crate::auth::{Auth, AuthError, Credentials};
use crate::clock::Clock;
use crate::deadline::within;
use crate::delivery::Incoming;
use crate::dispatcher::{DispatchError, Dispatcher};
use crate::head::RequestHead;
use crate::places::{Place, Places};
use crate::reply::{Disposition, Reply};
use crate::settings::SettingsService;
use crate::signature::SignatureError;
use crate::telemetry::{self, Escaped, TraceContext, TracePropagator, name, target};
use crate::watch::endpoint::Endpoint;

/// Receives the deliveries of one endpoint: authenticates the raw bytes, parses the envelope, passes both to a
/// [`Dispatcher`], and returns the reply.
///
/// An *endpoint* is one URL registered with JaaS, with its own secret. Its name becomes part of every stored key, so
/// two endpoints may receive the same event independently. Build one receiver for each, and share the dispatcher.
///
/// ```
/// use bytes::Bytes;
/// use jaas_core::{Auth, Credentials, Inbox, Receiver, Reply, store::MemoryStore};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let inbox = Inbox::new(Arc::new(MemoryStore::new()));
/// let auth = Auth::signature(["whsec_9635df66714a4cf088ee9d0979dd3bf6"])?;
/// let receiver = Receiver::builder("main", auth, inbox).build()?;
///
/// let reply = receiver.receive(Credentials::default(), Bytes::from_static(b"{}")).await;
/// assert_eq!(reply, Reply::Unauthorized);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Receiver {
    endpoint: Arc<str>,
    auth: Auth,
    dispatcher: Arc<dyn Dispatcher>,
    clock: Arc<dyn Clock>,
    in_flight: Places,
    timeout: Duration,
    closed: AtomicBool,
    settings: Option<SettingsService>,
    questions: Arrivals,
    counts: Counts,
    refusals: Refusals,
    propagator: Option<Arc<dyn TracePropagator>>,
    watched: Option<Arc<Endpoint>>,
}

/// The path that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    /// The path of the events.
    Events,
    /// The path of the settings, where each body that is not an event counts as a question.
    Settings,
}

/// A request without its body.
struct Request<'a> {
    path: Path,
    credentials: Credentials<'a>,
    /// The `Content-Length`, in bytes.
    declared: Option<u64>,
    trace: Option<TraceContext>,
    span: &'a Span,
    began: Instant,
}

/// What is left to do with a request after everything that needs no waiting.
enum Examined<'a> {
    Replied(Reply),
    Question(Question<'a>),
    Accepting(Accepting<'a>),
}

/// An authentic delivery on its way into the dispatcher.
struct Accepting<'a> {
    dispatched: BoxFuture<'a, Result<Disposition, DispatchError>>,
    span: Span,
    began: Instant,
    /// Among the requests in flight.
    _place: Place,
}

impl Receiver {
    /// Starts to build a receiver for the endpoint of this name. An [`Auth`] is required.
    pub fn builder(
        endpoint: impl Into<Arc<str>>,
        auth: Auth,
        dispatcher: impl Dispatcher,
    ) -> ReceiverBuilder {
        ReceiverBuilder::new(endpoint.into(), auth, Arc::new(dispatcher))
    }

    /// The endpoint's name.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Takes one `POST` request: its head, or the credentials alone, and its raw body, exactly as received. A settings
    /// question among the events is recognized by its body, and the [`SettingsService`] answers it if there is one.
    pub async fn receive(&self, head: impl Into<RequestHead<'_>>, body: Bytes) -> Reply {
        self.take(Path::Events, head.into(), body).await
    }

    /// The same for a path that is registered for settings alone. Here the settings service's failure policy answers an
    /// authentic body that is neither an event nor a valid question, and the body is not quarantined: any other answer
    /// would open a room.
    pub async fn receive_settings(&self, head: impl Into<RequestHead<'_>>, body: Bytes) -> Reply {
        self.take(Path::Settings, head.into(), body).await
    }

    /// Counts and logs a reply that was decided before there was a whole body to give to
    /// [`receive`](Self::receive), and returns it. For adapters: too large, too slow, wrong method.
    pub fn refuse(&self, reply: Reply) -> Reply {
        match reply {
            // Every scanner sends these.
            Reply::MethodNotAllowed | Reply::Incomplete => {
                tracing::debug!(target: target::DELIVERY, endpoint = %self.endpoint, %reply, "refused without a whole body");
            }
            _ => {
                tracing::warn!(target: target::DELIVERY, endpoint = %self.endpoint, %reply, "refused without a whole body");
            }
        }
        self.counts.replied(&reply);
        reply
    }

    /// From now on replies 503 to every event, so that the sender tries again after a restart. Settings questions are
    /// still answered, because they do not come back.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether the dispatcher has refused the last 20 authentic deliveries (with 503, or by timeout), the last of them
    /// less than 30 s ago. The first delivery that it accepts ends this. So does half a minute without a refusal, after
    /// which the next refusal begins it again: an instance that a load balancer has removed gets no delivery that could
    /// show its recovery, so it is tried again this way.
    pub fn is_refusing(&self) -> bool {
        self.refusals.are_many()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    async fn take(&self, path: Path, head: RequestHead<'_>, body: Bytes) -> Reply {
        let span = tracing::info_span!(
            target: target::DELIVERY, name::DELIVERY,
            endpoint = %self.endpoint, key = Empty, event_type = Empty, reply = Empty, trace_id = Empty,
        );
        let trace = self.joined(&span, head.trace.clone());
        if let Some(trace_id) = telemetry::trace_id(trace.as_ref()) {
            span.record("trace_id", trace_id);
        }
        let (credentials, declared) = (head.credentials(), head.declared);
        let request = Request { path, credentials, declared, trace, span: &span, began: Instant::now() };
        // Not in a future, so that its variables do not enlarge this one.
        let reply = match span.in_scope(|| self.examine(request, body)) {
            Examined::Replied(reply) => reply,
            Examined::Question(question) => {
                telemetry::inside(&span, self.answer(question, credentials)).await
            }
            Examined::Accepting(accepting) => telemetry::inside(&span, self.accept(accepting)).await,
        };
        span.record("reply", reply.as_str());
        self.counts.replied(&reply);
        reply
    }

    /// Makes the span part of the caller's trace, unless the application has done so; returns the context to keep.
    fn joined(&self, span: &Span, caller: Option<TraceContext>) -> Option<TraceContext> {
        let Some(propagator) = &self.propagator else { return caller };
        if let Some(caller) = &caller
            && Span::current().is_none()
        {
            propagator.extract(span, caller);
        }
        // Inside the span, because if it is disabled, the application's span is the current one.
        span.in_scope(|| propagator.inject(&Span::current())).or(caller)
    }

    /// Does everything that needs no waiting: takes a place, authenticates, parses, and begins to dispatch.
    fn examine(&self, request: Request<'_>, body: Bytes) -> Examined<'_> {
        let Request { path, credentials, declared, .. } = request;
        let place = match (self.place(), &self.settings) {
            (Err(reply), None) => return Examined::Replied(reply),
            // A request that cannot be accepted now may still be a question.
            (place, _) => place,
        };
        let bytes = body.len();
        let refuse = |reason, is_question| {
            Examined::Replied(self.refuse_unproven(reason, credentials, bytes, is_question))
        };
        // Valid credentials do not authenticate a body that is gone, and the reason would blame the secret.
        if let Some(declared) = declared.filter(|bytes| *bytes > 0 && body.is_empty()) {
            return refuse(AuthError::BodyMissing { declared }, path == Path::Settings);
        }
        let now = self.clock.now();
        let of_events = self.auth.check(credentials, &body, now);
        let own_auth = self.settings.as_ref().and_then(SettingsService::auth);
        let of_questions =
            |body: &Bytes| own_auth.map_or(of_events, |auth| auth.check(credentials, body, now));
        // Unauthenticated bytes are not parsed any further.
        if let Err(of_events) = of_events
            && let Err(of_questions) = of_questions(&body)
        {
            let reason = if path == Path::Settings { of_questions } else { of_events };
            let asks = path == Path::Settings || question::looks_like_one(&body);
            return refuse(reason, asks);
        }
        let incoming = match (Parsed::parse(self.endpoint.clone(), now, body, path), &self.settings) {
            (Parsed::Incoming(incoming), _) => incoming,
            (Parsed::Question(asked, incoming), Some(service)) => {
                return match of_questions(incoming.body()) {
                    Ok(proof) => Examined::Question(Question { service, asked, proof, now }),
                    Err(reason) => refuse(reason, true),
                };
            }
            (Parsed::Question(_, incoming), None) => {
                self.warn_of_no_service();
                incoming
            }
        };
        match of_events {
            Ok(proof) => {
                self.counts.authentic(proof, now);
                if let Some(watched) = &self.watched {
                    watched.authentic(now);
                }
            }
            Err(reason) => return refuse(reason, path == Path::Settings),
        }
        match place {
            Ok(place) => Examined::Accepting(self.dispatch(request, incoming, place)),
            Err(reply) => {
                self.counts.accepted(&reply, request.began.elapsed());
                Examined::Replied(reply)
            }
        }
    }

    /// Takes a place among the requests in flight.
    fn place(&self) -> Result<Place, Reply> {
        if self.is_closed() {
            return Err(Reply::Unavailable { retry_after: Duration::from_secs(5) });
        }
        self.in_flight.take().ok_or_else(|| {
            tracing::warn!(target: target::DELIVERY, endpoint = %self.endpoint, "too many requests in flight; replying 503 to events");
            Reply::Unavailable { retry_after: Duration::from_secs(1) }
        })
    }

    /// Begins to pass a delivery to the dispatcher.
    fn dispatch(&self, request: Request<'_>, mut incoming: Incoming, place: Place) -> Accepting<'_> {
        let endpoint = &*self.endpoint;
        match &mut incoming {
            Incoming::Event(delivery) => {
                delivery.trace = request.trace;
                let (key, event_type) = (&delivery.envelope.idempotency_key, &delivery.envelope.event_type);
                let (key, event_type) = (Escaped(key), Escaped(event_type));
                request.span.record("key", display(key)).record("event_type", display(event_type));
                tracing::debug!(target: target::DELIVERY, endpoint, %event_type, %key, "authentic");
            }
            Incoming::Unreadable(unreadable) => {
                let reason = &unreadable.reason;
                tracing::warn!(target: target::DELIVERY, endpoint, reason = %Escaped(reason), "authentic body without a valid envelope; going to quarantine");
            }
        }
        let span = tracing::info_span!(target: target::DELIVERY, name::ACCEPT, outcome = Empty);
        // Dereferenced, because the `Arc` is a dispatcher too, and would only forward.
        let dispatched = span.in_scope(|| (*self.dispatcher).dispatch(incoming));
        Accepting { dispatched, span, began: request.began, _place: place }
    }

    /// Waits for the dispatcher, and decides the reply.
    async fn accept(&self, accepting: Accepting<'_>) -> Reply {
        let Accepting { dispatched, span, began, _place } = accepting;
        let endpoint = &*self.endpoint;
        let dispatched = telemetry::inside(&span, dispatched);
        let reply = match within(began, self.timeout, dispatched).await {
            Some(Ok(disposition)) => {
                span.record("outcome", disposition.as_str());
                self.refusals.taken();
                Reply::Received(disposition)
            }
            Some(Err(error)) => {
                span.record("outcome", "refused");
                self.refusals.refused();
                tracing::warn!(target: target::DELIVERY, endpoint, error = %Escaped(&error), "delivery not accepted; replying 503");
                Reply::Unavailable { retry_after: error.retry_after() }
            }
            None => {
                span.record("outcome", "timed_out");
                self.refusals.refused();
                tracing::warn!(target: target::DELIVERY, endpoint, limit = ?self.timeout, "delivery not accepted within the timeout; replying 503");
                Reply::Unavailable { retry_after: Duration::from_secs(5) }
            }
        };
        self.counts.accepted(&reply, began.elapsed());
        reply
    }

    /// Logs and counts a request that is not authentic.
    fn refuse_unproven(
        &self,
        reason: AuthError,
        credentials: Credentials<'_>,
        bytes: usize,
        is_question: bool,
    ) -> Reply {
        tracing::warn!(target: target::DELIVERY, endpoint = %self.endpoint, bytes, %reason, "refused");
        telemetry::REFUSED.add(1, [self.endpoint.clone().into(), reason.as_str().into()]);
        if let Some(watched) = self.watched.as_ref().filter(|_| is_of_a_sender(reason)) {
            watched.refused(self.clock.now());
        }
        if is_question {
            self.questions.refused(&self.endpoint, credentials);
        }
        Reply::Unauthorized
    }
}

/// Whether the request has what a sender has, with another secret or at another time. Without that it is a scanner's.
fn is_of_a_sender(reason: AuthError) -> bool {
    use SignatureError::{FromTheFuture, Mismatch, TooOld};
    match reason {
        AuthError::Signature(why) => matches!(why, Mismatch | TooOld { .. } | FromTheFuture { .. }),
        AuthError::AuthorizationMismatch => true,
        _ => false,
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("in_flight_left", &self.in_flight.free())
            .field("closed", &self.is_closed())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
