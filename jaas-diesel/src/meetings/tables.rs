//! What a connection can do with the tables of meetings.

use async_trait::async_trait;
use diesel::QueryResult;
use jaas_core::Fqn;

use super::rows::{EdgeRow, MarkRow, RoomKey, SittingRow, StayRow};

/// Statements of each backend.
#[async_trait]
pub trait Tables: Send {
    /// Writes an edge and what follows from it; `false` when it was there already, and nothing is changed. At most three
    /// statements.
    async fn record(&mut self, edge: &EdgeRow, fqn: &Fqn, due_at: i64) -> QueryResult<bool>;

    async fn open_stays(&mut self, room: &RoomKey) -> QueryResult<Vec<StayRow>>;

    /// The sittings that began last, of a room or of all, newest first, after this one.
    async fn newest_sittings(
        &mut self,
        room: Option<&RoomKey>,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<SittingRow>>;

    /// The sittings of a room that began within this range, oldest first, after that of this session.
    async fn sittings(
        &mut self,
        room: &RoomKey,
        range: (i64, i64),
        after: Option<String>,
        limit: i64,
    ) -> QueryResult<Vec<SittingRow>>;

    async fn sitting(&mut self, session: &str) -> QueryResult<Option<SittingRow>>;

    async fn sittings_of(&mut self, sessions: &[String]) -> QueryResult<Vec<SittingRow>>;

    async fn stays(&mut self, session: &str) -> QueryResult<Vec<StayRow>>;

    async fn marks(&mut self, session: &str) -> QueryResult<Vec<MarkRow>>;

    async fn stays_of_user(&mut self, user: &str, range: (i64, i64), limit: i64)
    -> QueryResult<Vec<StayRow>>;

    /// Writes these edges in place of those of the same events, and what follows from all edges of the session. Returns how
    /// many edges there are.
    async fn replace(&mut self, session: &str, edges: &[EdgeRow], fqn: &Fqn) -> QueryResult<i64>;

    async fn count_edges(&mut self, session: &str) -> QueryResult<i64>;

    /// Deletes everything that is known of a session.
    async fn erase(&mut self, session: &str) -> QueryResult<()>;

    /// The sittings whose end is to be announced by now.
    async fn due(&mut self, now: i64, limit: i64) -> QueryResult<Vec<String>>;

    /// Notes that the end is announced; `false` when it is not to be announced any more.
    async fn take_due(&mut self, session: &str, now: i64) -> QueryResult<bool>;

    /// Has the end announced later.
    async fn postpone(&mut self, session: &str, now: i64, until: i64) -> QueryResult<()>;

    async fn begin(&mut self) -> QueryResult<()>;
    async fn commit(&mut self) -> QueryResult<()>;
    async fn rollback(&mut self) -> QueryResult<()>;
}
