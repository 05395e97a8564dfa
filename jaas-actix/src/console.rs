//! Pages for operators: what waits, why it failed, and how to run it again.

mod access;
mod assets;
mod chart;
mod difference;
mod failure;
#[cfg(feature = "archive")]
mod files;
mod origin;
mod pages;
mod params;
mod routes;
mod serve;
mod shelf;
mod show;
#[cfg(test)]
mod tests;
mod visit;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{AppService, HttpServiceFactory};
#[cfg(feature = "archive")]
use jaas_core::archive::ArtifactStore;
use jaas_core::meetings::MeetingReader;
use jaas_core::settings::SettingsLog;
use jaas_core::store::EventAdmin;
use jaas_core::watch::GapStore;
use jaas_core::{Clock, Handlers, SystemClock};

pub use self::access::{Access, Operator, Right};
#[cfg(feature = "archive")]
use self::files::{AnyTx, Files};
use self::shelf::Limited;
use self::visit::Desk;
use self::watch::{Gaps, Watching};

/// Pages for the operators of an inbox, inside your application: what waits, why it failed, and buttons to run it again.
///
/// Mount it in a scope of your application. Your application logs operators in: an [`Access`] says who the operator is and
/// what they may do, and everyone else gets an empty 404. It serves every path below the scope, so nothing else can be mounted
/// after it there. All links are relative, so any path works, also behind a proxy that changes it.
///
/// ```
/// use std::sync::Arc;
///
/// use actix_web::{App, HttpRequest, web};
/// use jaas_actix::{Console, Operator, Right};
/// use jaas_core::store::MemoryStore;
///
/// let store = Arc::new(MemoryStore::new());
/// let access = |request: &HttpRequest| {
///     let user = request.headers().get("x-user")?.to_str().ok()?; // set by your proxy, which asks for the password
///     Some(Operator::new(user).may(Right::Look).may(Right::Replay))
/// };
/// let console = Console::new(store.clone(), access).settings(store);
/// let app = App::new().service(web::scope("/ops").service(console));
/// ```
///
/// # What it costs
/// Each page reads at most a few pages of rows, and each read has a [timeout](Self::timeout). Nothing is read while
/// nobody looks.
///
/// # Security
/// Changes need a `POST` from a page of the same origin: `Sec-Fetch-Site: same-origin`, or, where a browser does not send
/// that, an `Origin` whose host equals `Host`. Pages are not cached, framed or indexed; their policy forbids inline
/// scripts and styles, and everything works without JavaScript. Bodies are shown only after an operator with the right
/// [`Reveal`](Right::Reveal) has given a reason, which the audit keeps. The audit also has each replay, discard,
/// erasure and rehearsal.
#[must_use]
pub struct Console<S: EventAdmin> {
    store: Arc<S>,
    access: Arc<dyn Access>,
    handlers: Option<Arc<Handlers<S::Tx>>>,
    settings: Option<Arc<dyn SettingsLog>>,
    meetings: Option<Arc<dyn MeetingReader>>,
    gaps: Option<Arc<dyn Gaps>>,
    #[cfg(feature = "archive")]
    archive: Option<Arc<dyn Files>>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl<S: EventAdmin> Console<S> {
    /// Creates the pages of this store. To share it with a worker, pass an `Arc` of the store.
    pub fn new(store: S, access: impl Access) -> Self {
        Self {
            store: Arc::new(store),
            access: Arc::new(access),
            handlers: None,
            settings: None,
            meetings: None,
            gaps: None,
            #[cfg(feature = "archive")]
            archive: None,
            clock: Arc::new(SystemClock),
            timeout: Duration::from_secs(10),
        }
    }

    /// Lets operators rehearse these handlers ([`Handlers::rehearse`]). A worker takes its handlers by value, so build
    /// them twice, with one function of your application. Without it, no page offers a rehearsal.
    pub fn handlers(mut self, handlers: impl Into<Arc<Handlers<S::Tx>>>) -> Self {
        self.handlers = Some(handlers.into());
        self
    }

    /// Shows how questions for settings were answered. Off by default.
    pub fn settings(mut self, log: impl SettingsLog) -> Self {
        self.settings = Some(Arc::new(log));
        self
    }

    /// Shows the meetings: when they began and ended, who was where, and what was recorded. Names are shown only after a
    /// reveal. Off by default.
    pub fn meetings(mut self, reader: impl MeetingReader) -> Self {
        self.meetings = Some(Arc::new(reader));
        self
    }

    /// Shows what should have come and did not: what an auditor of this store found ([`jaas_core::watch`]). Off by
    /// default.
    pub fn gaps(mut self, store: impl GapStore) -> Self {
        self.gaps = Some(Arc::new(Watching(store)));
        self
    }

    /// Shows the files that the archive fetches, by the time that is left. Off by default.
    #[cfg(feature = "archive")]
    pub fn archive(mut self, store: impl ArtifactStore) -> Self {
        self.archive = Some(Arc::new(AnyTx(store)));
        self
    }

    /// The source of the current time. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The timeout of each call of the store, of [`Access`], of one handler that is rehearsed, and of the arrival of a
    /// form. Defaults to 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Shares everything, so that it can be built once, outside the closure passed to `HttpServer::new`.
impl<S: EventAdmin> Clone for Console<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            access: self.access.clone(),
            handlers: self.handlers.clone(),
            settings: self.settings.clone(),
            meetings: self.meetings.clone(),
            gaps: self.gaps.clone(),
            #[cfg(feature = "archive")]
            archive: self.archive.clone(),
            clock: self.clock.clone(),
            timeout: self.timeout,
        }
    }
}

impl<S: EventAdmin> HttpServiceFactory for Console<S> {
    fn register(self, config: &mut AppService) {
        let desk = Desk {
            store: Arc::new(Limited { store: self.store, handlers: self.handlers, timeout: self.timeout }),
            access: self.access,
            clock: self.clock,
            timeout: self.timeout,
            settings: self.settings,
            meetings: self.meetings,
            gaps: self.gaps,
            #[cfg(feature = "archive")]
            files: self.archive,
        };
        serve::register(Arc::new(desk), config);
    }
}

impl<S: EventAdmin> fmt::Debug for Console<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("handlers", &self.handlers)
            .field("settings", &self.settings.is_some())
            .field("meetings", &self.meetings.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
