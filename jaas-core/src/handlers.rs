//! The handlers an application mounts.

mod rehearse;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::rehearse::Rehearsed;
use crate::attempt::HandlerSeconds;
use crate::config::{ConfigError, ConfigErrorKind};
use crate::handler::EventHandler;

/// The handlers that see every event, each under a name.
///
/// Each handler runs separately, in the order in which they were added, whether or not the others succeed. A success is
/// recorded per name, so after a failure a later attempt runs only the handlers that are not yet done; a handler that
/// ignored the event runs again. The event is settled when every handler is done with it. If some failed, it is retried
/// as long as one of them asks for a retry, and becomes a dead letter when all these failures are permanent.
///
/// The name is stored with the events in flight: a renamed handler runs again for those.
///
/// ```
/// use jaas_core::{EventHandler, Handlers};
///
/// struct Attendance;
/// impl EventHandler for Attendance {}
/// struct Audit;
/// impl EventHandler for Audit {}
///
/// let handlers: Handlers = Handlers::new().plain("attendance", Attendance).plain("audit", Audit);
/// # let _ = handlers;
/// ```
#[must_use]
pub struct Handlers<Tx = ()> {
    mounted: Vec<Mounted<Tx>>,
    /// A name that got a timeout, although no handler had it.
    unknown: Option<Arc<str>>,
}

pub(crate) struct Mounted<Tx> {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Mode<Tx>,
    pub(crate) seconds: Arc<HandlerSeconds>,
    /// How long one run may take; `None` leaves it to the caller.
    pub(crate) timeout: Option<Duration>,
}

pub(crate) enum Mode<Tx> {
    Plain(Arc<dyn EventHandler<()>>),
    Transactional(Arc<dyn EventHandler<Tx>>),
}

impl<Tx> Mode<Tx> {
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Plain(_) => "plain",
            Self::Transactional(_) => "transactional",
        }
    }
}

impl<Tx: Send + 'static> Handlers<Tx> {
    /// Creates an empty list of handlers.
    pub fn new() -> Self {
        Self { mounted: Vec::new(), unknown: None }
    }

    /// Adds a handler that runs outside any transaction. Its effects happen **at least once**: the completion is
    /// recorded after it returns. The next event of the session may run meanwhile, so after a crash the handler may see
    /// the last few events of a session again, in their order.
    pub fn plain(self, name: impl Into<Arc<str>>, handler: impl EventHandler<()>) -> Self {
        self.mount(name.into(), Mode::Plain(Arc::new(handler)))
    }

    /// Adds a handler that runs inside the store's transaction. What it writes through
    /// [`Context::tx`](crate::Context::tx) and its completion are committed together, so those effects happen **exactly
    /// once**.
    ///
    /// It implements [`EventHandler`] for the store's transaction. A handler that implements it for `()` makes these
    /// handlers `Handlers<()>`, which `Worker::builder` refuses as mismatched types (E0308); with
    /// `Handlers::<Connection>::new()` the compiler names that handler.
    ///
    /// The transaction is open while the handler runs, so the handler should only read and write the database. Make
    /// HTTP calls in a [plain](Self::plain) handler, and leave downloads to the module `archive`.
    pub fn transactional(self, name: impl Into<Arc<str>>, handler: impl EventHandler<Tx>) -> Self {
        self.mount(name.into(), Mode::Transactional(Arc::new(handler)))
    }

    /// Sets how long one run of the named handler may take. The handler must have been added before. Defaults to the
    /// worker's [`handler_timeout`](crate::WorkerBuilder::handler_timeout) or
    /// [`transaction_timeout`](crate::WorkerBuilder::transaction_timeout); with [`Direct`](crate::Direct) to its
    /// [`timeout`](crate::DirectBuilder::timeout).
    ///
    /// ```
    /// # use jaas_core::{EventHandler, Handlers};
    /// # use std::time::Duration;
    /// # struct Export;
    /// # impl EventHandler for Export {}
    /// # struct Audit;
    /// # impl EventHandler for Audit {}
    /// let handlers: Handlers = Handlers::new()
    ///     .plain("export", Export)
    ///     .timeout("export", Duration::from_secs(120))
    ///     .plain("audit", Audit);
    /// # let _ = handlers;
    /// ```
    ///
    /// A timeout of zero, and a name that no handler has, are errors when the worker or [`Direct`](crate::Direct) is
    /// built.
    pub fn timeout(mut self, name: &str, limit: Duration) -> Self {
        match self.mounted.iter_mut().find(|mounted| *mounted.name == *name) {
            Some(mounted) => mounted.timeout = Some(limit),
            None => self.unknown = Some(name.into()),
        }
        self
    }

    fn mount(mut self, name: Arc<str>, handler: Mode<Tx>) -> Self {
        self.mounted.push(Mounted {
            seconds: Arc::new(HandlerSeconds::new(name.clone())),
            name,
            handler,
            timeout: None,
        });
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.mounted.is_empty() {
            return Err(ConfigError::new(
                ConfigErrorKind::Missing,
                "no handlers; add one with Handlers::plain or transactional",
            ));
        }
        if let Some(name) = &self.unknown {
            return Err(ConfigError::new(
                ConfigErrorKind::Name,
                format!("a timeout was set for {name:?}, but no handler of that name was added before it"),
            ));
        }
        let mut names = HashSet::new();
        for mounted in &self.mounted {
            let name = &*mounted.name;
            if name.trim().is_empty() || name.contains(char::is_control) {
                return Err(ConfigError::new(
                    ConfigErrorKind::Name,
                    format!("{name:?} is not a handler name; use a short plain word"),
                ));
            }
            if mounted.timeout.is_some_and(|limit| limit.is_zero()) {
                return Err(ConfigError::new(
                    ConfigErrorKind::Range,
                    format!("the timeout of the handler {name:?} must not be zero"),
                ));
            }
            if !names.insert(name) {
                return Err(ConfigError::new(
                    ConfigErrorKind::Name,
                    format!(
                        "two handlers are named {name:?}, and completion is recorded by name; give each a different name"
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Mounted<Tx>> {
        self.mounted.iter()
    }
}

impl<Tx: Send + 'static> Default for Handlers<Tx> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tx> fmt::Debug for Handlers<Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounted = self.mounted.iter().map(|mounted| (&mounted.name, mounted.handler.as_str()));
        f.debug_map().entries(mounted).finish()
    }
}
