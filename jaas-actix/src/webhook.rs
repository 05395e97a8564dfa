//! Mounting a receiver.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, ContentType, HeaderName, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use jaas_core::telemetry::{Escaped, target};
use jaas_core::{Receiver, Reply, RequestHead, signature};

use crate::body::{self, Account, Declared, NotRead, Unread};
use crate::mounted;

/// Mounts a [`Receiver`] at a path of an actix-web application.
///
/// Build it once, **outside** the closure passed to `HttpServer::new`: actix runs that closure once per worker thread,
/// and a webhook built inside would count the bytes in flight per thread. The log warns about it.
///
/// ```no_run
/// use actix_web::{App, HttpServer};
/// use jaas_actix::Webhook;
/// # async fn example(receiver: jaas_core::Receiver) -> std::io::Result<()> {
/// let webhook = Webhook::new(receiver).at("/webhooks/jaas").max_body(256 * 1024);
/// HttpServer::new(move || App::new().configure(webhook.config())).bind("127.0.0.1:8080")?.run().await
/// # }
/// ```
///
/// The receiver gets the body byte for byte as received: no extractor of actix takes part, so neither their limits nor
/// their decoding apply. A `Content-Encoding` is not undone, because the signature covers the bytes as sent.
///
/// Actix responds to `Expect: 100-continue` before any handler runs, so 100 comes before a 413 too; the body is then
/// not read, and the connection closes.
#[derive(Debug, Clone)]
#[must_use]
pub struct Webhook {
    receiver: Arc<Receiver>,
    path: String,
    settings_path: Option<String>,
    max_body: usize,
    body_timeout: Duration,
    max_bytes_in_flight: usize,
    in_flight: Account,
}

impl Webhook {
    /// Mounts a receiver with the default path and limits.
    ///
    /// Call it **outside** the closure passed to `HttpServer::new`, and build the receiver outside too. Inside, each
    /// worker thread would have a separate webhook with separate limits: it works, and the log warns when the second
    /// one is mounted.
    pub fn new(receiver: impl Into<Arc<Receiver>>) -> Self {
        Self {
            receiver: receiver.into(),
            path: "/webhooks/jaas".to_owned(),
            settings_path: None,
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            max_bytes_in_flight: 64 * 1024 * 1024,
            in_flight: Account::new(64 * 1024 * 1024),
        }
    }

    /// The path of the URL registered with JaaS, relative to the scope in which it is mounted. Defaults to
    /// `/webhooks/jaas`.
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// A path for settings questions alone, if they are registered with a separate URL. The receiver's [settings
    /// service](jaas_core::ReceiverBuilder::settings) always answers them on the events' path too. Off by default.
    pub fn settings_at(mut self, path: impl Into<String>) -> Self {
        self.settings_path = Some(path.into());
        self
    }

    /// The maximum size of a body in bytes; a longer body gets 413 and is not read further. Defaults to 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self.with_account()
    }

    /// The timeout for the whole body to arrive, counted from the end of the head; a slower one gets 408. Defaults to
    /// 10 s.
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.body_timeout = limit;
        self
    }

    /// How many bytes of bodies may be held at the same time, from their arrival to the response, by all clones of this
    /// value together, and so over all worker threads. A request that would exceed it gets 503 with `Retry-After`, and
    /// JaaS delivers it again. One body of the largest size is always admitted. Defaults to 64 MiB.
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Self {
        self.max_bytes_in_flight = bytes;
        self.with_account()
    }

    /// An account of the configured size, in which one body of the largest size fits.
    fn with_account(mut self) -> Self {
        self.in_flight = Account::new(self.max_bytes_in_flight.max(self.max_body));
        self
    }

    /// How many bytes of bodies all clones of this value hold now; for a gauge.
    pub fn bytes_in_flight(&self) -> usize {
        self.in_flight.bytes()
    }

    /// The function to pass to `App::configure` or `Scope::configure`.
    pub fn config(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let webhook = Rc::new(self.clone());
        mounted::note(self.receiver.endpoint(), &self.path, &self.in_flight);
        move |app| {
            let paths =
                [(Some(webhook.path.clone()), For::Events), (webhook.settings_path.clone(), For::Settings)];
            for (path, what) in paths {
                let Some(path) = path else { continue };
                let webhook = webhook.clone();
                app.service(
                    web::resource(path)
                        .to(move |request, payload| handle(webhook.clone(), what, request, payload)),
                );
            }
        }
    }

    fn refuse(&self, reply: Reply, payload: Payload) -> HttpResponse {
        let mut response = head(&self.receiver.refuse(reply));
        response.force_close().body(Unread::new(payload, Bytes::new()))
    }
}

/// The purpose of a path.
#[derive(Debug, Clone, Copy)]
enum For {
    Events,
    Settings,
}

async fn handle(webhook: Rc<Webhook>, what: For, request: HttpRequest, mut payload: Payload) -> HttpResponse {
    if request.method() != Method::POST {
        return webhook.refuse(Reply::MethodNotAllowed, payload);
    }
    let mut held = webhook.in_flight.open();
    let declared = declared(&request);
    let reading = body::read(&mut payload, declared, webhook.max_body, &mut held);
    let body = match tokio::time::timeout(webhook.body_timeout, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(NotRead::Refused(reply))) => return webhook.refuse(reply, payload),
        Ok(Err(NotRead::Broken(error))) => {
            tracing::debug!(target: target::HTTP, endpoint = webhook.receiver.endpoint(), error = %Escaped(error), "the body ended before it was complete; responding 400");
            return webhook.refuse(Reply::Incomplete, payload);
        }
        Err(_) => return webhook.refuse(Reply::TooSlow, payload),
    };
    let (receiver, asked) = (&webhook.receiver, RequestHead::from_lines(|name| lines(&request, name)));
    let reply = match what {
        For::Events => receiver.receive(asked, body).await,
        For::Settings => receiver.receive_settings(asked, body).await,
    };
    let mut response = head(&reply);
    if let Declared::Exactly(_) = declared {
        if reply.json().is_some() {
            response.insert_header(ContentType::json()).insert_header((CACHE_CONTROL, "no-store"));
        }
        // Actix does not know where the next request begins.
        return response.force_close().body(Unread::new(payload, reply.json().cloned().unwrap_or_default()));
    }
    match reply.json() {
        // The body can hold a passcode.
        Some(json) => response
            .insert_header(ContentType::json())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(json.clone()),
        None => response.finish(),
    }
}

/// Where the body ends. For a request that asks for WebSocket, actix ignores `Content-Length` and reads until the
/// connection ends; a `POST` that asks for it is still a `POST`.
fn declared(request: &HttpRequest) -> Declared {
    let headers = request.headers();
    let length = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok();
    let upgrades = request.version() <= Version::HTTP_11 && headers.contains_key(UPGRADE);
    if upgrades && !headers.contains_key(TRANSFER_ENCODING) {
        Declared::Exactly(length().unwrap_or(0))
    } else {
        Declared::Framed(length())
    }
}

/// The values of a header, one for each line.
fn lines<'a>(
    request: &'a HttpRequest,
    name: &'static str,
) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
    static SIGNATURE: HeaderName = HeaderName::from_static(signature::HEADER);
    static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    // To look a name up costs less than to parse it, and these are asked for in every request.
    match name {
        signature::HEADER => request.headers().get_all(&SIGNATURE),
        "traceparent" => request.headers().get_all(&TRACEPARENT),
        "authorization" => request.headers().get_all(AUTHORIZATION),
        "content-length" => request.headers().get_all(CONTENT_LENGTH),
        other => request.headers().get_all(HeaderName::from_static(other)),
    }
}

/// The response without its body.
fn head(reply: &Reply) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if *reply == Reply::MethodNotAllowed {
        response.insert_header((ALLOW, "POST"));
    }
    if let Some(seconds) = reply.retry_after_secs() {
        response.insert_header((RETRY_AFTER, seconds));
    }
    response
}
