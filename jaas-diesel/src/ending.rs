//! How the transaction of a handler ends when the handler succeeds.

use jaas_core::store::{Lease, Step};

use crate::now::Now;

/// What is done with the transaction. When the handler fails, it is rolled back.
pub(crate) enum Ending {
    /// The step is completed, and both are committed.
    Complete(Lease, Step, Now),
    /// It is committed.
    Commit,
    /// It is rolled back.
    RollBack,
}
