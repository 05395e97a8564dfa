//! Claims whose caller may be gone.

use super::{Claim, EventStore, Lease};
use crate::timestamp::Timestamp;

/// Claims on the way from the task or thread that committed them to their caller. If the caller is gone before it has
/// [taken](Self::take) them, they are given back: otherwise their leases would end, which would count as a crash.
///
/// Wrap the claims once they are committed, and unwrap them where the caller returns them, without an `await` behind.
#[derive(Debug)]
#[must_use = "claims that are dropped are given back"]
pub struct Unheard<S: EventStore + Clone> {
    store: S,
    claims: Vec<Claim>,
    now: Timestamp,
}

impl<S: EventStore + Clone> Unheard<S> {
    /// Wraps claims that this store made at this time.
    pub fn new(store: S, claims: impl IntoIterator<Item = Claim>, now: Timestamp) -> Self {
        Self { store, claims: claims.into_iter().collect(), now }
    }

    /// Unwraps the claims for their caller.
    pub fn take(mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }
}

impl<S: EventStore + Clone> Drop for Unheard<S> {
    /// Gives them back in a task of the runtime. Without a runtime nothing can be done, and the leases end.
    fn drop(&mut self) {
        let leases: Vec<Lease> = self.claims.iter().map(|claim| claim.lease).collect();
        if let (false, Ok(runtime)) = (leases.is_empty(), tokio::runtime::Handle::try_current()) {
            let (store, now) = (self.store.clone(), self.now);
            runtime.spawn(async move { store.give_back(&leases, now).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delivery::Delivery;
    use crate::store::{ClaimRequest, MemoryStore};

    #[tokio::test]
    async fn claims_that_nobody_takes_can_be_claimed_again_and_count_nothing() {
        let (store, now) = (Arc::new(MemoryStore::new()), Timestamp::from_secs(1));
        let body = r#"{"idempotencyKey":"k","eventType":"USAGE"}"#;
        store
            .accept(Delivery::parse("main", now, body.into()).expect("an envelope"))
            .await
            .expect("accepted");
        let request = ClaimRequest::new("worker", now, 1);
        let claims = store.claim(&request).await.expect("claimed");
        assert_eq!(Unheard::new(store.clone(), claims, now).take().len(), 1);
        tokio::task::yield_now().await;
        assert!(store.claim(&request).await.expect("none").is_empty(), "it was taken");

        let later = Timestamp::from_secs(100);
        let claims = store.claim(&ClaimRequest { now: later, ..request.clone() }).await.expect("claimed");
        drop(Unheard::new(store.clone(), claims, later));
        tokio::task::yield_now().await;
        let again = store.claim(&ClaimRequest { now: later, ..request }).await.expect("claimed");
        assert_eq!(again[0].crashes, 1, "that of the first lease, which ended");
    }
}
