//! What a receiver decides and replies, over the in-memory inbox.

mod a_configuration_that_cannot_work_is_refused;
mod authentic_deliveries_are_kept_with_200;
mod authentic_senders_are_admitted;
mod deliveries_that_cannot_be_accepted_now_get_503;
mod replies;
mod unauthentic_deliveries_get_401;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jaas_core::signature::{self, Tolerance};
use jaas_core::store::{EventAdmin as _, EventQuery, EventState, MemoryStore, PageRequest, StoreStats};
use jaas_core::{
    Auth, Credentials, DispatchError, DispatchErrorKind, Dispatcher, Disposition, Inbox, Incoming, Receiver,
    ReceiverBuilder, Reply, RequestHead, Timestamp,
};
use jaas_testkit::{ManualClock, Signer, fixture};
use tokio::time::Instant;

use crate::receiver::support::{Gate, NOW, SECRET, another_body, deliver, event, receiver, signed};

const OTHER_SECRET: &str = "whsec_ffffffffffffffffffffffffffffffff";
const VALUE: &str = "Bearer 1234";

fn received(disposition: Disposition) -> Reply {
    Reply::Received(disposition)
}

fn unavailable(secs: u64) -> Reply {
    Reply::Unavailable { retry_after: Duration::from_secs(secs) }
}

/// An inbox's receiver and the store behind it.
fn inbox() -> (Receiver, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (receiver(Inbox::new(store.clone())), store)
}

fn over(store: &Arc<MemoryStore>, auth: Auth) -> Receiver {
    let inbox = Inbox::new(store.clone());
    Receiver::builder("main", auth, inbox).clock(|| NOW).build().expect("a good configuration")
}

async fn stats(store: &MemoryStore) -> StoreStats {
    store.stats().await.expect("the store is open")
}

async fn waiting(store: &MemoryStore) -> u64 {
    stats(store).await.count(EventState::Waiting)
}

/// A dispatcher that counts what reaches it.
struct Probe {
    calls: AtomicUsize,
    then: Then,
}

enum Then {
    Take,
    Return(Disposition),
    Fail,
    Wait(Arc<Gate>),
}

impl Probe {
    fn new(then: Then) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), then })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Dispatcher for Probe {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match &self.then {
            Then::Take => Ok(Disposition::Stored),
            Then::Return(disposition) => Ok(*disposition),
            Then::Fail => Err(DispatchError::new(
                DispatchErrorKind::Unavailable,
                "the store is away",
                Duration::from_secs(7),
            )),
            Then::Wait(gate) => {
                gate.pass().await;
                Ok(Disposition::Stored)
            }
        }
    }
}
