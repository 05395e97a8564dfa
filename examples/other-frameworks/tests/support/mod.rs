//! A server with the adapter, and a client.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use jaas_core::{
    Clock as _, DispatchError, Dispatcher, Disposition, Incoming, Receiver, SystemClock, Timestamp,
};
use jaas_testkit::{SignedRequest, Signer};
use other_frameworks::{Webhook, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

/// The timeout for everything that should happen.
pub const SOON: Duration = Duration::from_secs(60);

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub fn signed(body: &str) -> SignedRequest {
    Signer::new(SECRET).unwrap().sign(now(), body.to_owned())
}

pub struct Server {
    pub receiver: Arc<Receiver>,
    address: String,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<std::io::Result<()>>>,
}

impl Server {
    pub async fn start(receiver: Receiver, configure: impl FnOnce(Webhook) -> Webhook) -> Self {
        Self::start_with(receiver, SOON, configure).await
    }

    /// Starts a server with this grace period for running requests.
    pub async fn start_with(
        receiver: Receiver,
        grace: Duration,
        configure: impl FnOnce(Webhook) -> Webhook,
    ) -> Self {
        let receiver = Arc::new(receiver);
        let webhook = configure(Webhook::new(receiver.clone()));
        let app = Router::new()
            .merge(webhook.events_at("/webhooks/jaas"))
            .merge(webhook.settings_at("/webhooks/settings"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(serve(listener, app, stopped, grace));
        let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
        Self { receiver, address, client, stop: Some(stop), running: Some(running) }
    }

    pub async fn post(&self, path: &str, request: &SignedRequest) -> Answer {
        send(self.client.clone(), format!("http://{}{path}", self.address), request.clone()).await
    }

    /// The same in the background, while the test continues.
    pub fn posting(&self, path: &str, request: SignedRequest) -> JoinHandle<Answer> {
        tokio::spawn(send(self.client.clone(), format!("http://{}{path}", self.address), request))
    }

    /// Sends these bytes unchanged, and returns everything that the server sends until it closes the connection.
    pub async fn raw(&self, bytes: &str) -> String {
        let mut stream = self.connect().await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        timeout(SOON, stream.read_to_end(&mut reply)).await.expect("answered and closed in time").unwrap();
        String::from_utf8(reply).unwrap()
    }

    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(&self.address).await
    }

    pub fn stop(&mut self) {
        self.stop.take().expect("not stopped before").send(()).expect("it runs");
    }

    pub async fn ended(&mut self) {
        self.running.take().expect("not awaited before").await.expect("no panic").expect("it served well");
    }
}

async fn send(client: reqwest::Client, url: String, request: SignedRequest) -> Answer {
    let mut post = client.post(url);
    for (name, value) in request.headers() {
        post = post.header(name, value);
    }
    let response = post.body(request.body).send().await.expect("answered");
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Answer { status: response.status().as_u16(), headers, body: response.bytes().await.unwrap().to_vec() }
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

/// Accepts a delivery only once it is released.
#[derive(Clone, Default)]
pub struct Held(Arc<(Notify, Notify)>);

impl Held {
    /// Waits until a delivery has arrived.
    pub async fn arrived(&self) {
        timeout(SOON, self.0.0.notified()).await.expect("arrived in time");
    }

    /// Releases one delivery, now or when it arrives.
    pub fn let_go(&self) {
        self.0.1.notify_one();
    }
}

#[async_trait]
impl Dispatcher for Held {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        self.0.0.notify_one();
        self.0.1.notified().await;
        Ok(Disposition::Handled)
    }
}
