//! From a request to a page: who asks, may they, and the headers of each response.

use std::sync::Arc;

use actix_web::dev::AppService;
use actix_web::dev::HttpServiceFactory as _;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;

use super::access::{Operator, Right};
use super::assets::{Asset, SCRIPT, STYLE};
use super::failure::Failure;
use super::origin;
use super::params::Params;
use super::routes::{Does, ROUTES, Route};
use super::visit::{Desk, Frame, Shown, Visit};
use crate::body::{self, Account, Declared, NotRead};

/// The largest form: a page of checkboxes and a reason.
const MAX_FORM: usize = 64 * 1024;
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// Mounts every route.
pub(crate) fn register(desk: Arc<Desk>, config: &mut AppService) {
    let mut scope = web::scope("");
    for route in ROUTES {
        let desk = desk.clone();
        let handler = move |request, payload| serve(desk.clone(), Some(route), request, payload);
        scope = scope.service(web::resource(format!("/{}", route.page)).to(handler));
    }
    for asset in [&*STYLE, &*SCRIPT] {
        let desk = desk.clone();
        let handler = move |request| serve_asset(desk.clone(), asset, request);
        scope = scope.service(web::resource(format!("/{}", asset.name)).to(handler));
    }
    let root = {
        let desk = desk.clone();
        move |request| serve_root(desk.clone(), request)
    };
    let unknown = move |request, payload| serve(desk.clone(), None, request, payload);
    scope.service(web::resource(vec!["", "/"]).to(root)).default_service(web::to(unknown)).register(config);
}

/// The operator who sent a request.
async fn operator(desk: &Desk, request: &HttpRequest) -> Option<Operator> {
    let operator = tokio::time::timeout(desk.timeout, desk.access.operator(request)).await.ok()??;
    (!operator.name().trim().is_empty()).then_some(operator)
}

/// The response to strangers: as if there were nothing.
fn nothing() -> HttpResponse {
    HttpResponse::NotFound().insert_header((CACHE_CONTROL, "no-store")).finish()
}

async fn serve(
    desk: Arc<Desk>,
    route: Option<&'static Route>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let Some(operator) = operator(&desk, &request).await else { return nothing() };
    let now = desk.clock.now();
    let (page, tab) = route.map_or(("", ""), |route| (route.page, route.tab));
    let mut visit =
        Visit { desk, operator, page, tab, query: Params::default(), form: Params::default(), now };
    // For the page of a failure, whose visit is used up by the page that failed.
    let mut frame = visit.frame_of_result("");
    if let Err(failure) = admit(&mut visit, route, &request, &mut payload).await {
        return failed(&failure, frame, page);
    }
    if request.method() != Method::POST {
        frame.again = Some(visit.query.href(page));
    }
    let result = match route {
        Some(route) => (route.run)(visit).await,
        None => Err(Failure::NotFound("There is no such page.".to_owned())),
    };
    match result {
        Ok(Shown::Page(status, html)) => html_page(status, html),
        Ok(Shown::See(link)) => headers(HttpResponse::SeeOther()).insert_header((LOCATION, link)).finish(),
        Err(failure) => failed(&failure, frame, page),
    }
}

/// Checks method, origin and rights, in this order, and reads the form.
async fn admit(
    visit: &mut Visit,
    route: Option<&Route>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<(), Failure> {
    let Some(route) = route else { return require(visit, Right::Look) };
    let method = request.method();
    let allowed = match route.does {
        Does::Show => method == Method::GET || method == Method::HEAD,
        Does::Act => method == Method::POST,
    };
    if !allowed {
        return Err(Failure::Method);
    }
    if route.does == Does::Act && !origin::is_same(request) {
        return Err(Failure::CrossOrigin);
    }
    require(visit, Right::Look)?;
    require(visit, route.right)?;
    visit.query = Params::parse(request.query_string())?;
    if route.does == Does::Act {
        visit.form = form(visit, payload).await?;
    }
    Ok(())
}

fn require(visit: &Visit, right: Right) -> Result<(), Failure> {
    if visit.can(right) { Ok(()) } else { Err(Failure::Forbidden(right)) }
}

async fn form(visit: &Visit, payload: &mut Payload) -> Result<Params, Failure> {
    let mut held = Account::new(MAX_FORM).open();
    let reading = body::read(payload, Declared::Framed(None), MAX_FORM, &mut held);
    match tokio::time::timeout(visit.desk.timeout, reading).await {
        Ok(Ok(body)) => match std::str::from_utf8(&body) {
            Ok(text) => Params::parse(text),
            Err(_) => Err(Failure::request("the form is not text")),
        },
        Ok(Err(NotRead::Refused(_))) => Err(Failure::Body(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(Err(NotRead::Broken(_))) => Err(Failure::Body(StatusCode::BAD_REQUEST)),
        Err(_) => Err(Failure::Body(StatusCode::REQUEST_TIMEOUT)),
    }
}

async fn serve_asset(desk: Arc<Desk>, asset: &'static Asset, request: HttpRequest) -> HttpResponse {
    if operator(&desk, &request).await.is_none() {
        return nothing();
    }
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.media_type))
        .insert_header((CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(asset.content)
}

/// Leads from the console's own path to the first page, relative to what the browser shows.
async fn serve_root(desk: Arc<Desk>, request: HttpRequest) -> HttpResponse {
    if operator(&desk, &request).await.is_none() {
        return nothing();
    }
    let link = match request.path().rsplit('/').next() {
        None | Some("") => "overview".to_owned(),
        // With the dot, no colon in it can make it a scheme.
        Some(last) => format!("./{last}/overview"),
    };
    headers(HttpResponse::Found()).insert_header((LOCATION, link)).finish()
}

#[derive(Template)]
#[template(path = "console/failed.html")]
struct Failed<'a> {
    frame: Frame,
    explained: &'a str,
    is_transient: bool,
}

fn failed(failure: &Failure, mut frame: Frame, page: &str) -> HttpResponse {
    failure.log(page);
    let status = failure.status();
    let (title, explained) = failure.explained();
    frame.title = title.to_owned();
    let is_transient = status == StatusCode::SERVICE_UNAVAILABLE;
    let html = Failed { frame, explained: &explained, is_transient }.render().unwrap_or_default();
    let mut response = html_page(status, html);
    if let Failure::Method = failure {
        let route = ROUTES.iter().find(|route| route.page == page);
        let allowed = if route.is_some_and(|route| route.does == Does::Act) { "POST" } else { "GET, HEAD" };
        response.headers_mut().insert(ALLOW, actix_web::http::header::HeaderValue::from_static(allowed));
    }
    response
}

fn html_page(status: StatusCode, html: String) -> HttpResponse {
    headers(HttpResponse::build(status)).insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(html)
}

/// The headers of every page. The referrer policy keeps `Origin` in forms, which `no-referrer` would make `null`.
fn headers(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response
        .insert_header(("content-security-policy", POLICY))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("x-frame-options", "DENY"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    response
}
