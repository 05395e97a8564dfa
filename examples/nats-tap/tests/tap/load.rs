//! Plays the part of JaaS: each session in its order, the sessions in parallel, again until there is a 2xx.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

pub(crate) const LINK: &str = "https://files.example/p/token-of-a-file";

#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) body: String,
}

pub(crate) struct Load {
    /// The events of each session, in the order of their timestamps.
    pub(crate) sessions: Vec<Vec<Event>>,
}

impl Load {
    pub(crate) fn new(prefix: &str, sessions: usize, events: usize) -> Self {
        let event = |session: usize, number: usize| {
            let key = format!("{prefix}-{session}-{number}");
            let event_type = ["PARTICIPANT_JOINED", "PARTICIPANT_LEFT", "RECORDING_UPLOADED"][number % 3];
            let body = json!({
                "idempotencyKey": key, "eventType": event_type, "sessionId": format!("{prefix}-{session}"),
                "timestamp": 1_795_420_800_000_u64 + number as u64, "fqn": "vpaas-magic-cookie-1/math",
                "data": {"number": number, "name": "Ada", "preAuthenticatedLink": LINK},
            });
            Event { key, body: body.to_string() }
        };
        let session = |session| (0..events).map(|number| event(session, number)).collect();
        Self { sessions: (0..sessions).map(session).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.iter().map(Vec::len).sum()
    }
}

#[derive(Clone)]
pub(crate) struct Sender {
    client: reqwest::Client,
    signer: Arc<Signer>,
    address: Arc<Mutex<String>>,
}

impl Sender {
    pub(crate) fn new(address: &str) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30));
        // Shorter than the server's 5 s, so that the server does not close an idle connection just when it is used
        // again.
        let client = client.pool_idle_timeout(Duration::from_secs(2)).build().expect("a client");
        let signer = Arc::new(Signer::new(SECRET).expect("a secret"));
        Self { client, signer, address: Arc::new(Mutex::new(address.to_owned())) }
    }

    pub(crate) fn goes_to(&self, address: &str) {
        address.clone_into(&mut self.address.lock().expect("not poisoned"));
    }

    /// Sends a signed body and returns the status, or `None` if the server is gone.
    pub(crate) async fn send(&self, body: &str) -> Option<u16> {
        let request = self.signer.sign(SystemClock.now(), body.to_owned());
        let address = self.address.lock().expect("not poisoned").clone();
        let mut post = self.client.post(format!("http://{address}/webhooks/jaas"));
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        Some(post.body(request.body).send().await.ok()?.status().as_u16())
    }

    /// Sends everything, one event each `pace` over all sessions, or as fast as the replies come.
    pub(crate) async fn send_all(&self, load: &Load, pace: Option<Duration>) {
        let mut sending = JoinSet::new();
        for (index, session) in load.sessions.iter().cloned().enumerate() {
            let sender = self.clone();
            let sessions = load.sessions.len() as u32;
            sending.spawn(async move {
                if let Some(pace) = pace {
                    sleep(pace * index as u32).await;
                }
                let mut ticks = pace.map(|pace| interval(pace * sessions));
                for event in session {
                    if let Some(ticks) = &mut ticks {
                        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                        ticks.tick().await;
                    }
                    while sender.send(&event.body).await != Some(200) {
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            });
        }
        sending.join_all().await;
    }
}
