//! Plays the part of JaaS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::load::Load;
use super::process::Addresses;

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

/// One reply, or the end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
}

impl Reply {
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.sent
    }

    pub(crate) fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

#[derive(Clone)]
pub(crate) struct Sender {
    client: reqwest::Client,
    signer: Arc<Signer>,
    addresses: Addresses,
    replies: Arc<Mutex<Vec<Reply>>>,
}

impl Sender {
    pub(crate) fn new(addresses: Addresses) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30));
        // Shorter than the server's 5 s, so that the server does not close an idle connection just when it is used again.
        let client = client.pool_idle_timeout(Duration::from_secs(2)).build().expect("a client");
        Self {
            client,
            signer: Arc::new(Signer::new(SECRET).expect("a good secret")),
            addresses,
            replies: Arc::default(),
        }
    }

    /// A sender to one process.
    pub(crate) fn to(address: &str) -> Self {
        Self::new(Arc::new(Mutex::new(vec![address.to_owned()])))
    }

    /// Sends a signed body once, to this process (modulo their number).
    pub(crate) async fn send(&self, body: &str, to: usize) -> Reply {
        let address = {
            let addresses = self.addresses.lock().expect("not poisoned");
            addresses[to % addresses.len()].clone()
        };
        let signed = self.signer.sign(SystemClock.now(), body.to_owned());
        let mut post = self.client.post(format!("http://{address}/webhooks/jaas"));
        for (name, value) in signed.headers() {
            post = post.header(name, value);
        }
        let sent = Instant::now();
        let status = post.body(signed.body).send().await.ok().map(|response| response.status().as_u16());
        let reply = Reply { status, sent, ended: Instant::now() };
        self.replies.lock().expect("not poisoned").push(reply);
        reply
    }

    /// Sends it to changing processes until it is accepted, as JaaS does but with shorter delays.
    pub(crate) async fn send_until_accepted(&self, body: &str, mut to: usize) {
        let mut wait = Duration::from_millis(50);
        while !self.send(body, to).await.accepted() {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(400));
            to += 1;
        }
    }

    /// Sends every delivery of the load in its order, spread over this time, until each is accepted.
    pub(crate) async fn send_all(&self, load: &Load, over: Duration) {
        let pause = over / u32::try_from(load.deliveries.len()).expect("not that many");
        let room = Arc::new(Semaphore::new(256));
        let started = Instant::now();
        let mut sending = JoinSet::new();
        for (number, event) in load.deliveries.iter().enumerate() {
            tokio::time::sleep_until((started + pause * number as u32).into()).await;
            let permit = room.clone().acquire_owned().await.expect("never closed");
            let (sender, body) = (self.clone(), load.events[*event].body.clone());
            sending.spawn(async move {
                // Hashed a little, so that copies do not go to the same process.
                sender.send_until_accepted(&body, number.wrapping_mul(2_654_435_761) >> 7).await;
                drop(permit);
            });
        }
        while let Some(sent) = sending.join_next().await {
            sent.expect("no panic");
        }
    }

    pub(crate) async fn get(&self, path: &str) -> u16 {
        let address = self.addresses.lock().expect("not poisoned")[0].clone();
        let got = self.client.get(format!("http://{address}{path}")).send().await;
        got.expect("answered").status().as_u16()
    }

    pub(crate) fn replies(&self) -> Vec<Reply> {
        self.replies.lock().expect("not poisoned").clone()
    }

    /// Returns how often each status came; connections that ended without a status count as 0.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        for reply in self.replies() {
            *statuses.entry(reply.status.unwrap_or_default()).or_default() += 1;
        }
        statuses
    }
}
