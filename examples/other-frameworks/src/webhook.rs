//! The adapter: everything that is specific to the web framework. For another framework, rewrite this file, and keep its
//! order: the method, then the body within its limits, then the receiver, then its reply.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use jaas_core::{Receiver, Reply, RequestHead};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Mounts a [`Receiver`] in an axum router.
#[derive(Debug, Clone)]
pub struct Webhook {
    receiver: Arc<Receiver>,
    max_body: usize,
    body_timeout: Duration,
    /// Bytes that all requests together may hold. Anyone can send to a public URL, and the signature can only be checked
    /// once the whole body has arrived.
    room: Arc<Semaphore>,
}

impl Webhook {
    /// Accepts bodies of up to 1 MiB, within 10 s, and 64 MiB of bodies at a time.
    pub fn new(receiver: Arc<Receiver>) -> Self {
        let (max_body, body_timeout) = (1024 * 1024, Duration::from_secs(10));
        Self { receiver, max_body, body_timeout, room: Arc::new(Semaphore::new(64 * max_body)) }
    }

    /// Sets the maximum size of a body, in bytes.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the timeout for the whole body.
    #[must_use]
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.body_timeout = limit;
        self
    }

    /// Sets how many bytes of bodies may be held at a time; beyond it the reply is 503.
    #[must_use]
    pub fn max_bytes_in_flight(mut self, bytes: usize) -> Self {
        self.room = Arc::new(Semaphore::new(bytes.max(self.max_body).min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Routes the path registered for events. A settings question on it is answered too.
    pub fn events_at(&self, path: &str) -> Router {
        let webhook = self.clone();
        Router::new().route(path, any(move |request| async move { webhook.handle(false, request).await }))
    }

    /// Routes a path registered for settings questions only.
    pub fn settings_at(&self, path: &str) -> Router {
        let webhook = self.clone();
        Router::new().route(path, any(move |request| async move { webhook.handle(true, request).await }))
    }

    async fn handle(&self, settings: bool, request: Request) -> Response {
        if request.method() != Method::POST {
            return self.refuse(Reply::MethodNotAllowed);
        }
        let (head, body) = request.into_parts();
        // Released whenever this function returns.
        let mut held = None;
        let reading = self.read(&head.headers, body, &mut held);
        let body = match tokio::time::timeout(self.body_timeout, reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(reply)) => return self.refuse(reply),
            Err(_) => return self.refuse(Reply::TooSlow),
        };
        let asked = RequestHead::from_lines(|name| head.headers.get_all(name));
        respond(&match settings {
            false => self.receiver.receive(asked, body).await,
            true => self.receiver.receive_settings(asked, body).await,
        })
    }

    /// Returns the body byte for byte. No extractor is involved: extractors have their own limits, and a body that was parsed
    /// and serialized again is not the one that was signed.
    async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        held: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Bytes, Reply> {
        let declared =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > self.max_body as u64) {
            return Err(Reply::TooLarge);
        }
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame.map_err(|_| Reply::Incomplete)?.into_data() else { continue };
            if read.len() + chunk.len() > self.max_body {
                return Err(Reply::TooLarge);
            }
            // Counts bytes when they arrive and not when they are declared, because declaring costs a stranger nothing.
            let more = u32::try_from(chunk.len()).map_err(|_| Reply::TooLarge)?;
            let more = self.room.clone().try_acquire_many_owned(more);
            let more = more.map_err(|_| Reply::Unavailable { retry_after: Duration::from_secs(1) })?;
            match held {
                Some(held) => held.merge(more),
                None => *held = Some(more),
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read.freeze())
    }

    /// Refuses a request before its body was read. The receiver counts and logs it, and the connection is closed, because the
    /// rest of the body is not read.
    fn refuse(&self, reply: Reply) -> Response {
        let mut response = respond(&self.receiver.refuse(reply));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Takes status, headers and body from the receiver's reply.
fn respond(reply: &Reply) -> Response {
    let mut response = Response::new(Body::from(reply.json().cloned().unwrap_or_default()));
    *response.status_mut() =
        StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if reply.json().is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The body can contain a passcode.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(seconds) = reply.retry_after_secs() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if *reply == Reply::MethodNotAllowed {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
