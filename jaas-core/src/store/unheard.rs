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
