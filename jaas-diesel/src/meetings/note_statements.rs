//! What a connection can do with the tables of notes.

use async_trait::async_trait;
use diesel::QueryResult;

use super::notes::{AnswerRow, FeedbackRow, NoteRows, PhraseRow, PollRow, ReactionRow, TalkRow};

/// Statements of each backend.
#[async_trait]
pub trait NoteStatements: Send {
    /// Inserts rows, unless they are there: one statement for each thousand.
    async fn note(&mut self, rows: &NoteRows) -> QueryResult<()>;

    /// Deletes the rows of these events.
    async fn forget(&mut self, session: &str, keys: &[String]) -> QueryResult<()>;

    async fn talk(&mut self, session: &str) -> QueryResult<Vec<TalkRow>>;

    async fn polls(&mut self, session: &str) -> QueryResult<Vec<PollRow>>;

    async fn poll_answers(&mut self, session: &str) -> QueryResult<Vec<AnswerRow>>;

    async fn reactions(&mut self, session: &str) -> QueryResult<Vec<ReactionRow>>;

    /// The feedback of a session or of all, newest first, after this row.
    async fn feedback(
        &mut self,
        session: Option<&str>,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<FeedbackRow>>;

    /// The phrases of a session, the earliest first, after this row.
    async fn phrases(
        &mut self,
        session: &str,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<PhraseRow>>;

    /// The months before this one with their numbers of devices, the latest first.
    async fn devices_by_month(
        &mut self,
        tenant: &str,
        before: Option<i32>,
        limit: i64,
    ) -> QueryResult<Vec<(i32, i64)>>;
}
