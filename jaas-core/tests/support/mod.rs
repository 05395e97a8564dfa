//! Shared by the tests of the receiver and of the dispatcher behind it.

use std::sync::Arc;

use bytes::Bytes;
use jaas_core::{Auth, Dispatcher, Receiver, Reply, Timestamp};
use jaas_testkit::{SignedRequest, Signer, event};
use tokio::sync::{Semaphore, watch};

/// The time at every receiver; never the machine's.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
pub(crate) const SECRET: &str = "whsec_00000000000000000000000000000000";

/// A `ROOM_CREATED` with this key.
pub(crate) fn event(key: &str) -> Bytes {
    event::room_created().key(key).body()
}

/// Another body under the same key.
pub(crate) fn another_body(key: &str) -> Bytes {
    event::room_destroyed().key(key).body()
}

/// The request that JaaS would send now.
pub(crate) fn signed(body: impl Into<Bytes>) -> SignedRequest {
    Signer::new(SECRET).expect("a good secret").sign(NOW, body)
}

/// A receiver of the endpoint `main`, at [`NOW`].
pub(crate) fn receiver(dispatcher: impl Dispatcher) -> Receiver {
    let auth = Auth::signature([SECRET]).expect("a good secret");
    Receiver::builder("main", auth, dispatcher).clock(|| NOW).build().expect("a good configuration")
}

/// Delivers a body as JaaS would.
pub(crate) async fn deliver(receiver: &Receiver, body: impl Into<Bytes>) -> Reply {
    let request = signed(body);
    receiver.receive(request.credentials(), request.body.clone()).await
}

/// A gate: entering waits until it opens, and both are counted.
pub(crate) struct Gate {
    entered: watch::Sender<usize>,
    passes: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { entered: watch::Sender::new(0), passes: Semaphore::new(0) })
    }

    /// Enters, and waits for a pass.
    pub(crate) async fn pass(&self) {
        self.entered.send_modify(|entered| *entered += 1);
        self.passes.acquire().await.expect("never closed").forget();
    }

    /// Lets this many continue.
    pub(crate) fn open(&self, passes: usize) {
        self.passes.add_permits(passes);
    }

    /// How many have entered.
    pub(crate) fn entered(&self) -> usize {
        *self.entered.borrow()
    }

    /// Waits until this many have entered.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut entered = self.entered.subscribe();
        entered.wait_for(|entered| *entered >= count).await.expect("the sender is alive");
    }
}
