//! Authentication: callers need the application's token.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::State;
use crate::error::AppError;

pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(token: String) -> Result<Self, &'static str> {
        if token.len() < 16 { Err("APP_TOKEN must have 16 characters or more") } else { Ok(Self(token)) }
    }

    /// Compares in constant time, except for the length.
    fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        self.0.len() == given.len() && pairs.fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
    }
}

/// The middleware of scopes that are not public.
pub(crate) async fn needs_token(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = request.app_data::<Data<State>>().ok_or(AppError::Internal("no state".into()))?;
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    if !given.is_some_and(|given| state.token.is(given)) {
        return Err(AppError::NotAllowed.into());
    }
    next.call(request).await
}
