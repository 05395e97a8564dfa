//! The connection to NATS and the stream.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, Event};
use jaas_core::HandlerError;
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

use crate::subject::ROOT;

/// How long a publication waits for the connection before its event is retried. Together with the others it stays below
/// the 60 s that a plain handler has.
const CONNECTED_WITHIN: Duration = Duration::from_secs(30);

/// How long the server has to create the stream.
const CREATED_WITHIN: Duration = Duration::from_secs(10);

/// How long the server has to acknowledge a message.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// How long the stream remembers the ids of messages. An event is published again within seconds when an
/// acknowledgement was lost, and after the lease when the process died; a process that stays down for longer can cause
/// a duplicate.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// How long the stream keeps messages.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(crate) struct Broker {
    jetstream: Context,
    stream: Config,
    /// Whether the stream is known to exist.
    created: OnceCell<()>,
    connected: watch::Receiver<bool>,
}

impl Broker {
    /// Returns immediately, whether or not the server is there, and connects as often as it takes.
    pub(crate) async fn connect(url: &str, stream: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let (changed, connected) = watch::channel(false);
        let client = ConnectOptions::new()
            .name("nats-tap")
            .retry_on_initial_connect()
            .connection_timeout(Duration::from_secs(5))
            .reconnect_delay_callback(|attempt| Duration::from_millis(100 * attempt.min(20) as u64))
            .event_callback(move |event| {
                let changed = changed.clone();
                async move { note(&event, &changed) }
            })
            .connect(url)
            .await?;
        let stream = Config {
            name: stream.to_owned(),
            subjects: vec![format!("{ROOT}.>")],
            storage: StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            max_age: MAX_AGE,
            ..Config::default()
        };
        Ok(Self { jetstream: jetstream::new(client), stream, created: OnceCell::new(), connected })
    }

    /// Publishes a message and waits until the stream has it. Returns whether the stream had it before.
    ///
    /// # Errors
    /// To retry, when the broker is away or does not acknowledge it; permanent, when it is larger than the server
    /// takes.
    pub(crate) async fn publish(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<bool, HandlerError> {
        let mut connected = self.connected.clone();
        // Waiting here, and not in a retry each, keeps the log short while the broker is away.
        let up = async { connected.wait_for(|up| *up).await.is_ok() };
        if !timeout(CONNECTED_WITHIN, up).await.unwrap_or_default() {
            return Err(HandlerError::retry("NATS is unavailable; check the server and NATS_URL"));
        }
        self.created.get_or_try_init(|| self.create_stream()).await?;
        let message = message.expected_stream(&self.stream.name);
        let acknowledged = async { self.jetstream.send_publish(subject, message).await?.await };
        match timeout(ACKNOWLEDGED_WITHIN, acknowledged).await {
            Ok(Ok(ack)) => Ok(ack.duplicate),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(HandlerError::permanent("the event is larger than the max_payload of the NATS server"))
            }
            Ok(Err(error)) => Err(HandlerError::retry(error)),
            Err(_) => Err(HandlerError::retry("NATS did not acknowledge the message in time")),
        }
    }

    async fn create_stream(&self) -> Result<(), HandlerError> {
        let created = timeout(CREATED_WITHIN, self.jetstream.get_or_create_stream(self.stream.clone())).await;
        match created {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(HandlerError::retry(error)),
            Err(_) => {
                Err(HandlerError::retry("NATS did not create the stream in time; is JetStream enabled?"))
            }
        }
    }
}

fn note(event: &Event, connected: &watch::Sender<bool>) {
    match event {
        Event::Connected => {
            connected.send_replace(true);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            if connected.send_replace(false) {
                tracing::warn!("NATS is unavailable; events wait for it in the tap's inbox");
            }
        }
        other => tracing::debug!(event = %other, "NATS"),
    }
}
