//! The pages for operators, behind HTTP basic authentication. An application with users has a login; mount the pages behind
//! that one instead.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jaas_actix::{Console, Operator};
use jaas_core::Handlers;
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;

pub(crate) const PATH: &str = "/ops";
/// The name in the audit.
pub(crate) const USER: &str = "ops";

/// The only login: `ops` with this password.
struct Login {
    /// The header that a browser sends with it.
    header: String,
}

impl Login {
    /// Compares in constant time, except for the length.
    fn is_in(&self, request: &ServiceRequest) -> bool {
        let given = request.headers().get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let pairs = self.header.bytes().zip(given);
        self.header.len() == given.len()
            && pairs.fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
    }
}

/// Returns a function for `App::configure` that mounts the pages. The handlers can be rehearsed there.
pub(crate) fn pages(
    store: SqliteStore,
    handlers: Handlers<Connection>,
    password: &str,
) -> impl Fn(&mut ServiceConfig) + Clone + use<> {
    let login =
        Data::new(Login { header: format!("Basic {}", STANDARD.encode(format!("{USER}:{password}"))) });
    let access = |_: &HttpRequest| Some(Operator::with_every_right(USER)); // who comes this far has the password
    let console = Console::new(store, access).handlers(handlers);
    move |app| {
        let pages = web::scope(PATH).wrap(from_fn(needs_password)).service(console.clone());
        app.app_data(login.clone()).service(pages);
    }
}

async fn needs_password(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.app_data::<Data<Login>>().is_some_and(|login| login.is_in(&request)) {
        return next.call(request).await;
    }
    let challenge = (WWW_AUTHENTICATE, "Basic realm=\"operators\", charset=\"UTF-8\"");
    let response = HttpResponse::Unauthorized().insert_header(challenge).finish();
    Err(InternalError::from_response("a password is needed", response).into())
}
