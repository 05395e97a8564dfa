//! The counts of a receiver for every request. The keys of its metrics are created once: creating them for each request
//! costs as much as parsing the envelope.

use std::sync::Arc;
use std::time::Duration;

use metrics::Key;

use crate::auth::AuthMethod;
use crate::reply::Reply;
use crate::telemetry::{ACCEPT_SECONDS, AUTHENTIC, DELIVERIES, SIGNATURE_AGE_SECONDS};
use crate::timestamp::Timestamp;

pub(super) struct Counts {
    /// By the index of the reply: the requests, and the time to accept.
    replies: [(Key, Key); Reply::NAMES.len()],
    secrets: Vec<Key>,
    authorization: Key,
    signature_age: Key,
}

impl Counts {
    /// Creates the counts of an endpoint with this many secrets.
    pub(super) fn new(endpoint: &Arc<str>, secrets: usize) -> Self {
        let endpoint = || endpoint.clone().into();
        let replies = Reply::NAMES.map(|reply| {
            let deliveries = DELIVERIES.key([endpoint(), reply.into()]);
            (deliveries, ACCEPT_SECONDS.key([endpoint(), reply.into()]))
        });
        let secret = |index: usize| AUTHENTIC.key([endpoint(), index.to_string().into()]);
        Self {
            replies,
            secrets: (0..secrets).map(secret).collect(),
            authorization: AUTHENTIC.key([endpoint(), "authorization".into()]),
            signature_age: SIGNATURE_AGE_SECONDS.key([endpoint()]),
        }
    }

    pub(super) fn replied(&self, reply: &Reply) {
        DELIVERIES.add_to(&self.replies[reply.index()].0, 1);
    }

    pub(super) fn accepted(&self, reply: &Reply, took: Duration) {
        ACCEPT_SECONDS.record_in(&self.replies[reply.index()].1, took.as_secs_f64());
    }

    pub(super) fn authentic(&self, proof: AuthMethod, now: Timestamp) {
        let key = match proof {
            AuthMethod::Signature { secret, signed_at } => {
                let age = now.as_millis().saturating_sub(signed_at.as_millis()) as f64 / 1000.0;
                SIGNATURE_AGE_SECONDS.record_in(&self.signature_age, age);
                self.secrets.get(secret)
            }
            AuthMethod::Authorization => Some(&self.authorization),
        };
        if let Some(key) = key {
            AUTHENTIC.add_to(key, 1);
        }
    }
}
