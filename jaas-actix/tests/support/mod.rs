//! A real server on its own port, and clients that speak HTTP byte by byte.

// Each test file uses a part of this.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, rt};
use jaas_actix::{Health, Webhook};
use jaas_core::signature::{Secret, sign};
use jaas_core::store::{EventAdmin as _, EventQuery, MemoryStore, PageRequest, Quarantined, StoredEvent};
use jaas_core::{Auth, Dispatcher, Inbox, Receiver, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
pub(crate) const PATH: &str = "/webhooks/jaas";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
/// No test should come near it; it only keeps a broken one from hanging.
const GUARD: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) webhook: Webhook,
    handle: ServerHandle,
}

impl Server {
    /// A receiver that stores in memory.
    pub(crate) async fn start(configure: impl FnOnce(Webhook) -> Webhook) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::launch(store.clone(), Inbox::new(store), configure, Health::new()).await
    }

    /// A receiver over the test's dispatcher.
    pub(crate) async fn over(dispatcher: impl Dispatcher) -> Self {
        Self::launch(Arc::default(), dispatcher, |webhook| webhook, Health::new()).await
    }

    /// Health checks with a receiver that is not used.
    pub(crate) async fn with_health(health: Health) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::launch(store.clone(), Inbox::new(store), |webhook| webhook, health).await
    }

    /// The test's receiver.
    pub(crate) async fn of(receiver: Arc<Receiver>, configure: impl FnOnce(Webhook) -> Webhook) -> Self {
        Self::mount(Arc::default(), receiver, configure, Health::new()).await
    }

    async fn launch(
        store: Arc<MemoryStore>,
        dispatcher: impl Dispatcher,
        configure: impl FnOnce(Webhook) -> Webhook,
        health: Health,
    ) -> Self {
        let auth = Auth::signature([SECRET]).unwrap();
        let receiver = Receiver::builder("main", auth, Arc::new(dispatcher)).clock(|| NOW);
        Self::mount(store, Arc::new(receiver.build().unwrap()), configure, health).await
    }

    async fn mount(
        store: Arc<MemoryStore>,
        receiver: Arc<Receiver>,
        configure: impl FnOnce(Webhook) -> Webhook,
        health: Health,
    ) -> Self {
        let webhook = configure(Webhook::new(receiver.clone()).at(PATH));
        let health = health.receiver(receiver.clone());
        let mounted = webhook.clone();
        let server =
            HttpServer::new(move || App::new().configure(mounted.config()).configure(health.config()))
                .workers(2)
                .client_disconnect_timeout(Duration::from_millis(100))
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Self { addr, store, receiver, webhook, handle }
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
    }

    pub(crate) async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    /// One request on a new connection.
    pub(crate) async fn answer(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.client().await;
        client.send(request).await;
        client.response().await
    }

    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        self.store.events(&EventQuery::default()).await.unwrap().items
    }

    pub(crate) async fn quarantined(&self) -> Vec<Quarantined> {
        self.store.quarantined(PageRequest::first()).await.unwrap().items
    }

    pub(crate) async fn until_bytes_in_flight(&self, wanted: usize) {
        until(async || self.webhook.bytes_in_flight() == wanted).await;
    }
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(GUARD, self.0.write_all(bytes.as_ref())).await.expect("in time").expect("sent");
    }

    /// Whether the server sends anything within this time.
    pub(crate) async fn hears_within(&mut self, time: Duration) -> bool {
        timeout(time, self.0.readable()).await.is_ok()
    }

    /// Sends until the server has closed the connection.
    pub(crate) async fn send_until_cut_off(&mut self, bytes: &[u8]) {
        timeout(GUARD, async { while self.0.write_all(bytes).await.is_ok() {} }).await.expect("cut off");
    }

    pub(crate) async fn response(&mut self) -> Response {
        timeout(GUARD, self.read_response()).await.expect("in time")
    }

    /// Waits until the server closes the connection without a word.
    pub(crate) async fn until_closed(&mut self) {
        let read = timeout(GUARD, self.0.read(&mut [0])).await.expect("in time");
        assert!(matches!(read, Ok(0) | Err(_)));
    }

    /// Hangs up with a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    async fn read_response(&mut self) -> Response {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a response"));
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        response
            .body
            .resize(response.header("content-length").map_or(0, |length| length.parse().unwrap()), 0);
        self.0.read_exact(&mut response.body).await.expect("the body");
        response
    }

    /// A response that has a `Content-Length` and no body, as for `HEAD`.
    pub(crate) async fn response_without_body(&mut self) -> String {
        let mut head = String::new();
        timeout(GUARD, self.0.read_to_string(&mut head)).await.expect("in time").expect("a response");
        head
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// The head of a `POST` up to its last header, without the empty line.
pub(crate) fn head(headers: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nHost: test\r\n{headers}")
}

/// A whole genuine request.
pub(crate) fn signed(body: impl AsRef<[u8]>) -> Vec<u8> {
    signed_with("", body)
}

/// A whole genuine request with more headers, each ended by a line break.
pub(crate) fn signed_with(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = head(&format!("{}{headers}Content-Length: {length}\r\n\r\n", signature_header(body)));
    [head.as_bytes(), body].concat()
}

/// The `X-Jaas-Signature` header of a body, ended by a line break.
pub(crate) fn signature_header(body: impl AsRef<[u8]>) -> String {
    let signature = sign(&Secret::new(SECRET).unwrap(), NOW, body.as_ref());
    format!("X-Jaas-Signature: {signature}\r\n")
}

/// An event of exactly this many bytes.
pub(crate) fn event(key: &str, bytes: usize) -> String {
    let start = format!(r#"{{"idempotencyKey":"{key}","eventType":"ROOM_CREATED","data":{{"x":""#);
    let end = r#""}}"#;
    let padding = bytes.checked_sub(start.len() + end.len()).expect("room for the envelope");
    format!("{start}{}{end}", "x".repeat(padding))
}

/// One chunk of a chunked body.
pub(crate) fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Waits for something the server does by itself, when there is no reply to wait for.
pub(crate) async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !reached().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(GUARD, waiting).await.expect("reached in time");
}
