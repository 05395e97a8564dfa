//! The whole application in this process: server, receiver, inbox, worker, and a recording handler.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use jaas_actix::Webhook;
use jaas_core::settings::SettingsService;
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Handlers, Inbox, Receiver, Worker, WorkerHandle};
use jaas_testkit::{HandlerCall, Recorder};

use crate::support::SECRET;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) recorder: Recorder,
    worker: WorkerHandle,
    handle: ServerHandle,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn answering(service: SettingsService) -> Self {
        Self::with(Some(service)).await
    }

    async fn with(service: Option<SettingsService>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let auth = Auth::signature([SECRET]).expect("a good secret");
        let receiver = Receiver::builder("main", auth, Inbox::new(store.clone()));
        let receiver = match service {
            Some(service) => receiver.settings(service),
            None => receiver,
        };
        let webhook = Webhook::new(Arc::new(receiver.build().expect("good"))).at("/webhooks/jaas");
        let recorder = Recorder::new();
        let handlers = Handlers::new().plain("recorder", recorder.clone());
        let worker = Worker::builder(store, handlers).build().expect("good").spawn();
        let server = HttpServer::new(move || App::new().configure(webhook.config()))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("bound");
        let url = format!("http://{}/webhooks/jaas", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, recorder, worker, handle }
    }

    /// The handled calls, once there are this many.
    pub(crate) async fn handled(&self, count: usize) -> Vec<HandlerCall> {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.recorder.wait_for(count)).await;
        waited.unwrap_or_else(|_| panic!("{} of {count} handled in time", self.recorder.seen().len()))
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(true).await;
        self.worker.stop(Duration::from_secs(5)).await;
    }
}

/// An address without a listener.
pub(crate) fn nowhere() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bound");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    format!("http://{address}/webhooks/jaas")
}
