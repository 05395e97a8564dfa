//! The run of a session within its worker.

use tokio::time::Instant;

use super::held::{Held, RunId};
use super::pace::Pace;
use crate::store::NextClaim;

/// What the run of a session knows about its worker.
pub(super) struct Turn<'a> {
    pub(super) run: RunId,
    pub(super) next: NextClaim,
    pub(super) pace: &'a Pace,
    pub(super) held: &'a Held,
    pub(super) began: Instant,
}

impl Turn<'_> {
    /// Whether to claim the session's next event while this one is settled, and how.
    pub(super) fn next(&self, following: usize) -> Option<NextClaim> {
        let next = NextClaim { following, ..self.next };
        Some(next).filter(|_| self.pace.goes_on(self.began.elapsed()))
    }
}
