//! Authentication: callers need the application's token. Programs send it as a bearer token; in a browser, operators enter
//! their name and, as the password, the token.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jaas_actix::Operator;

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
    if !credentials(&request, "Bearer ").is_some_and(|given| state.token.is(given)) {
        return Err(AppError::NotAllowed.into());
    }
    next.call(request).await
}

/// Who has entered the token in a browser. Only `needs_login` makes one.
#[derive(Clone)]
struct Login {
    name: String,
}

/// The middleware of scopes with pages.
pub(crate) async fn needs_login(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = request.app_data::<Data<State>>().ok_or(AppError::Internal("no state".into()))?;
    let given = credentials(&request, "Basic ").and_then(|given| STANDARD.decode(given).ok());
    let given = given.and_then(|given| String::from_utf8(given).ok()).unwrap_or_default();
    match given.split_once(':') {
        Some((name, token)) if !name.is_empty() && state.token.is(token) => {
            request.extensions_mut().insert(Login { name: name.to_owned() });
        }
        _ => return Err(AppError::NotLoggedIn.into()),
    }
    next.call(request).await
}

/// What the console's operators may do: everything, as all of them have the same token. An application with roles returns
/// their rights.
pub(crate) fn operator(request: &HttpRequest) -> Option<Operator> {
    let login = request.extensions().get::<Login>().cloned()?;
    Some(Operator::with_every_right(login.name))
}

fn credentials<'a>(request: &'a ServiceRequest, scheme: &str) -> Option<&'a str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(scheme)
}
