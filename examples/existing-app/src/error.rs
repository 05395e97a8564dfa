//! The application's errors, and the replies to them.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::{HttpResponse, ResponseError};
use diesel_async::pooled_connection::bb8::RunError;
use jaas_core::store::{StoreError, StoreErrorKind};
use jaas_core::telemetry::Escaped;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("a valid token is needed")]
    NotAllowed,
    #[error("a name and a valid token are needed")]
    NotLoggedIn,
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    NotNow(String),
    #[error("the database is unavailable; try again later")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("something went wrong")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotAllowed | Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NotNow(_) => StatusCode::CONFLICT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Busy(source) | Self::Internal(source) = self {
            tracing::error!(source = %Escaped(source), "{}", Escaped(self));
        }
        let mut response = HttpResponse::build(self.status_code());
        if let Self::NotLoggedIn = self {
            // Browsers ask for both, and send them with each request.
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"existing-app\", charset=\"UTF-8\""));
        }
        response.json(BTreeMap::from([("error", self.to_string())]))
    }
}

impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<RunError> for AppError {
    fn from(error: RunError) -> Self {
        Self::Busy(error.into())
    }
}

/// The kind of a store's error says who should do what.
impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::NotFound => Self::NotFound(error.to_string()),
            StoreErrorKind::NotSettled | StoreErrorKind::NotDiscardable | StoreErrorKind::Erased => {
                Self::NotNow(error.to_string())
            }
            _ if error.is_transient() => Self::Busy(error.into()),
            _ => Self::Internal(error.into()),
        }
    }
}
