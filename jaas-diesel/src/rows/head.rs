//! The event at the head of a queue, and those behind it.

use diesel::prelude::*;
use diesel::sql_types;
use jaas_core::Timestamp;
use jaas_core::store::tools::{Head, Turn};
use jaas_core::store::{Claim, Lease, NextClaim, RowId, SessionOrder};

use super::column::{count, names, trace};

/// A waiting event at the head of its queue.
#[derive(Debug, Queryable)]
pub(crate) struct HeadRow {
    pub(crate) ordering_key: String,
    pub(crate) passable: i16,
    pub(crate) place: i64,
    pub(crate) id: i64,
    occurred_at: i64,
    due_at: i64,
    fence: i64,
    endpoint: String,
    received_at: i64,
    body: Vec<u8>,
    failures: i32,
    pub(crate) crashes: i32,
    interruptions: i32,
    completed: String,
    trace_context: Option<String>,
}

impl HeadRow {
    /// What decides whether the event runs.
    pub(crate) fn head(&self) -> Head {
        Head {
            event: RowId::new(self.id),
            occurred_at: Timestamp::from_millis(self.occurred_at),
            // The receiver's clock may be ahead of the database's, which sets `due_at`.
            received_at: Timestamp::from_millis(self.received_at.min(self.due_at)),
            due_at: Timestamp::from_millis(self.due_at),
        }
    }

    /// The fence of its next claim. It starts again at 1 after the largest number, so that a row that was edited by hand does
    /// not stop the event.
    pub(crate) fn next_fence(&self) -> i64 {
        self.fence.checked_add(1).unwrap_or(1)
    }

    pub(crate) fn into_claim(self, fence: i64) -> Claim {
        let lease = Lease { event: RowId::new(self.id), fence };
        let received_at = Timestamp::from_millis(self.received_at);
        let mut claim = Claim::new(lease, self.endpoint.into(), received_at, self.body);
        claim.failures = count(self.failures);
        claim.crashes = count(self.crashes);
        claim.interruptions = count(self.interruptions);
        claim.completed = names(&self.completed);
        claim.trace = trace(self.trace_context.as_deref());
        claim
    }

    /// The sort key within its queue.
    #[cfg(feature = "mysql")]
    pub(crate) fn order(&self) -> (i64, i64) {
        (self.place, self.id)
    }

    /// Whether it may run immediately after the events before it.
    fn follows(&self, order: SessionOrder, now: Timestamp) -> bool {
        let runs = order.turn(Some(self.head()), None, now) == Turn::Run(RowId::new(self.id));
        // An event whose fence cannot be incremented is claimed alone.
        runs && self.crashes == 0 && self.fence < i64::MAX
    }
}

/// The columns of a [`HeadRow`].
pub(crate) type HeadColumns = (
    sql_types::Text,
    sql_types::SmallInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::BigInt,
    sql_types::Text,
    sql_types::BigInt,
    sql_types::Binary,
    sql_types::Integer,
    sql_types::Integer,
    sql_types::Integer,
    sql_types::Text,
    sql_types::Nullable<sql_types::Text>,
);

/// A claim whose following events are to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    pub(crate) ordering_key: String,
    /// The claimed event.
    pub(crate) event: i64,
    /// The place at which its queue begins.
    pub(crate) head_place: i64,
    pub(crate) next: NextClaim,
}

/// How many events to read in order to list those behind a claim. The claimed event is one of them.
pub(crate) fn looked_at(next: NextClaim) -> i64 {
    i64::try_from(next.following).unwrap_or(i64::MAX).saturating_add(1)
}

/// The claims of the events that may run directly after the claimed one. `rows` are the first events of its queue.
pub(crate) fn follow(rows: Vec<HeadRow>, claimed: i64, next: NextClaim, now: i64) -> Vec<Claim> {
    let now = Timestamp::from_millis(now);
    let rows = rows.into_iter().filter(|row| row.id != claimed);
    let following = rows.take_while(|row| row.follows(next.order, now)).map(|row| {
        let fence = row.next_fence();
        row.into_claim(fence)
    });
    following.take(next.following).collect()
}
