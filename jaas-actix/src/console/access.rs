//! Who may open the console, and what they may do there.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpRequest;
use async_trait::async_trait;

/// What an operator may do in the [`Console`](super::Console).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Right {
    /// Open the pages. They show ids, rooms, states and errors, but no body.
    Look,
    /// See the body of an event, with the names and links in it.
    Reveal,
    /// Run events again, and rehearse their handlers.
    Replay,
    /// Discard events.
    Discard,
    /// Erase the bodies of a session.
    Erase,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 5] = [Self::Look, Self::Reveal, Self::Replay, Self::Discard, Self::Erase];

    /// The right's name, as the pages show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Reveal => "reveal",
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Erase => "erase",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person or a program that uses the [`Console`](super::Console).
///
/// `Debug` hides the name.
///
/// ```
/// use jaas_actix::{Operator, Right};
///
/// let operator = Operator::new("ada").may(Right::Look).may(Right::Replay);
/// assert!(operator.can(Right::Replay) && !operator.can(Right::Erase));
/// assert!(Operator::with_every_right("root").can(Right::Erase));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Operator {
    name: Arc<str>,
    rights: u8,
}

impl Operator {
    /// Creates an operator who has no right yet. The name is written to the audit with everything that the operator
    /// does. The console treats an operator with a blank name as nobody.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), rights: 0 }
    }

    /// Creates an operator who has every right.
    pub fn with_every_right(name: impl Into<Arc<str>>) -> Self {
        Right::ALL.into_iter().fold(Self::new(name), Self::may)
    }

    /// Adds a right. Defaults to none.
    pub fn may(mut self, right: Right) -> Self {
        self.rights |= right.bit();
        self
    }

    /// The name in the audit.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the operator has this right.
    pub fn can(&self, right: Right) -> bool {
        self.rights & right.bit() != 0
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rights = Right::ALL.into_iter().filter(|right| self.can(*right));
        f.debug_struct("Operator").field("name", &"…").field("rights", &rights.collect::<Vec<_>>()).finish()
    }
}

/// Decides who uses the [`Console`](super::Console): your application's login.
///
/// The console asks it for each request, also for its style sheet. With `None` the response is an empty 404, as if
/// there were no console. It must not block the thread, and the console's timeout covers it.
///
/// A closure is enough where a middleware has done the work, so that there is nothing to wait for:
///
/// ```
/// use actix_web::{HttpMessage as _, HttpRequest};
/// use jaas_actix::{Access, Operator};
///
/// #[derive(Clone)]
/// struct Login { user: String, is_admin: bool } // your middleware puts it into the request
///
/// fn access() -> impl Access {
///     |request: &HttpRequest| {
///         let login = request.extensions().get::<Login>().cloned()?;
///         login.is_admin.then(|| Operator::with_every_right(login.user))
///     }
/// }
/// ```
///
/// Otherwise implement the trait:
///
/// ```
/// use actix_web::HttpRequest;
/// use async_trait::async_trait;
/// use jaas_actix::{Access, Operator, Right};
/// # struct Sessions;
/// # struct User { email: String, on_call: bool }
/// # impl Sessions { async fn user(&self, cookie: &str) -> Option<User> { None } }
///
/// struct Staff { sessions: Sessions }
///
/// #[async_trait(?Send)]
/// impl Access for Staff {
///     async fn operator(&self, request: &HttpRequest) -> Option<Operator> {
///         let cookie = request.headers().get("cookie")?.to_str().ok()?;
///         let user = self.sessions.user(cookie).await?;
///         let operator = Operator::new(user.email).may(Right::Look);
///         Some(if user.on_call { operator.may(Right::Replay).may(Right::Reveal) } else { operator })
///     }
/// }
/// ```
#[async_trait(?Send)]
pub trait Access: Send + Sync + 'static {
    /// Returns the operator who sent this request, or `None` when the sender may not know that there is a console.
    async fn operator(&self, request: &HttpRequest) -> Option<Operator>;
}

#[async_trait(?Send)]
impl<F: Fn(&HttpRequest) -> Option<Operator> + Send + Sync + 'static> Access for F {
    async fn operator(&self, request: &HttpRequest) -> Option<Operator> {
        self(request)
    }
}
