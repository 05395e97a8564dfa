//! Why a page cannot be shown, or an act was not done.

use actix_web::http::StatusCode;
use jaas_core::store::{StoreError, StoreErrorKind};
use jaas_core::telemetry::{Escaped, target};

use super::access::Right;

/// Why a request has no other response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such thing.
    NotFound(String),
    /// The operator lacks a right.
    Forbidden(Right),
    /// The request does not come from a page of the console.
    CrossOrigin,
    /// The method is not the one of the page.
    Method,
    /// The request makes no sense.
    Request(String),
    /// The request's body is too large or too slow.
    Body(StatusCode),
    /// The store could not do it.
    Store(StoreError),
    /// A page could not be rendered.
    Template(askama::Error),
}

impl Failure {
    /// The request makes no sense, for this reason.
    pub(crate) fn request(why: impl Into<String>) -> Self {
        Self::Request(why.into())
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Body(status) => *status,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(error) => match error.kind() {
                StoreErrorKind::Unavailable | StoreErrorKind::Overloaded | StoreErrorKind::Closed => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                StoreErrorKind::NotFound => StatusCode::NOT_FOUND,
                StoreErrorKind::NotSettled | StoreErrorKind::NotDiscardable | StoreErrorKind::Erased => {
                    StatusCode::CONFLICT
                }
                StoreErrorKind::EmptyQuery => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// What the operator reads: what happened, and what to do.
    pub(crate) fn explained(&self) -> (&'static str, String) {
        match self {
            Self::NotFound(what) => ("Not found", what.clone()),
            Self::Forbidden(right) => ("Not allowed", format!("You need the right “{right}” for this.")),
            Self::CrossOrigin => (
                "Refused",
                "The request does not come from a page of this console. Nothing was changed. Behind a proxy, pass \
                 the Host header of the browser on."
                    .to_owned(),
            ),
            Self::Method => ("Not like this", "This address changes something, or only shows something; use the \
                 buttons of the pages. Nothing was changed.".to_owned()),
            Self::Request(why) => ("The request makes no sense", format!("{why}.")),
            Self::Body(_) => ("Refused", "The form is too large, or arrived too slowly. Nothing was changed.".to_owned()),
            Self::Template(_) => ("Error", "The page could not be rendered; the log has the reason.".to_owned()),
            Self::Store(error) => {
                let what = match self.status() {
                    StatusCode::SERVICE_UNAVAILABLE => "The store is not available",
                    StatusCode::NOT_FOUND => "Not found",
                    StatusCode::CONFLICT => "Not in this state",
                    _ => "The store reports an error",
                };
                (what, format!("{}.", shown(error)))
            }
        }
    }

    /// Logs what an operator cannot repair in the pages.
    pub(crate) fn log(&self, page: &str) {
        match self {
            Self::Store(error) if self.status().is_server_error() => {
                tracing::warn!(target: target::HTTP, page, error = %Escaped(error), "the console cannot show a page: the store failed");
            }
            Self::Template(error) => {
                tracing::error!(target: target::HTTP, page, error = %Escaped(error), "the console cannot render a page");
            }
            _ => {}
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::Template(error)
    }
}

/// The first 500 characters of an error.
fn shown(error: &StoreError) -> String {
    let text = Escaped(error).to_string();
    text.trim_end_matches('.').chars().take(500).collect()
}
