//! The statements on the tables of notes.

use async_trait::async_trait;
use diesel::QueryResult;
use diesel::dsl::{count, sql};
use diesel::prelude::{
    AggregateExpressionMethods as _, BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _,
};
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use diesel_async::RunQueryDsl as _;

use super::{Backend, Connection, between};
use crate::meetings::dialect::Dialect;
use crate::meetings::note_statements::NoteStatements;
use crate::meetings::notes::{
    AnswerRow, Cell, FeedbackRow, NOTE_TABLES, NoteRows, PhraseRow, PollRow, ReactionRow, TalkRow,
};
use crate::meetings::schema::{
    jaas_devices, jaas_feedback, jaas_phrases, jaas_poll_answers, jaas_polls, jaas_reactions, jaas_talk,
};
use crate::statement::known_by_text;

/// How many rows one statement inserts at most: SQLite binds 32766 values.
const ROWS: usize = 1000;

/// The rows of a session, each with its head and these columns.
macro_rules! of_session {
    ($connection:expr, $table:ident, $session:expr, $($column:ident),+) => {{
        use $table::dsl;
        let head = (dsl::session_id, dsl::event_key, dsl::happened_at);
        let rows = dsl::$table.filter(dsl::session_id.eq($session)).select((head, ($(dsl::$column),+)));
        rows.load($connection).await
    }};
}

#[async_trait]
impl NoteStatements for Connection {
    async fn note(&mut self, notes: &NoteRows) -> QueryResult<()> {
        for rows in notes.rows.chunks(ROWS) {
            InsertNotes { notes, rows }.execute(self).await?;
        }
        Ok(())
    }

    async fn forget(&mut self, session: &str, keys: &[String]) -> QueryResult<()> {
        for keys in keys.chunks(ROWS) {
            for table in NOTE_TABLES {
                DeleteNotes { table: table.name, session, keys }.execute(self).await?;
            }
        }
        Ok(())
    }

    async fn talk(&mut self, session: &str) -> QueryResult<Vec<TalkRow>> {
        of_session!(self, jaas_talk, session, jid, user_id, talked_ms)
    }

    async fn polls(&mut self, session: &str) -> QueryResult<Vec<PollRow>> {
        of_session!(self, jaas_polls, session, poll_id, user_id, participant_id, question, options)
    }

    async fn poll_answers(&mut self, session: &str) -> QueryResult<Vec<AnswerRow>> {
        of_session!(self, jaas_poll_answers, session, poll_id, voter, user_id, ticked)
    }

    async fn reactions(&mut self, session: &str) -> QueryResult<Vec<ReactionRow>> {
        of_session!(self, jaas_reactions, session, user_id, reaction, amount, aggregated)
    }

    async fn feedback(
        &mut self,
        session: Option<&str>,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<FeedbackRow>> {
        use jaas_feedback::dsl;
        let head = (dsl::session_id, dsl::event_key, dsl::happened_at);
        let rows = dsl::jaas_feedback
            .limit(limit)
            .select((head, (dsl::user_id, dsl::stars, dsl::comments)))
            .into_boxed();
        // What an index can begin at, on the first page too: MariaDB would read and sort the table.
        let until = after.as_ref().map_or(i64::MAX, |(at, _)| *at);
        let mut rows = match session {
            None => rows
                .filter(dsl::happened_at.le(until))
                .order((dsl::happened_at.desc(), dsl::event_key.desc())),
            Some(session) => {
                const SESSION: &str = "jaas_feedback.session_id";
                rows.filter(between((SESSION, "jaas_feedback.happened_at"), session, (i64::MIN, until)))
                    .order((
                        sql::<Text>(&Backend::order_of(SESSION)).desc(),
                        dsl::happened_at.desc(),
                        dsl::event_key.desc(),
                    ))
            }
        };
        if let Some((at, key)) = after {
            rows = rows.filter(dsl::happened_at.lt(at).or(dsl::event_key.lt(key)));
        }
        rows.load(self).await
    }

    async fn phrases(
        &mut self,
        session: &str,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<PhraseRow>> {
        use jaas_phrases::dsl;
        let head = (dsl::session_id, dsl::event_key, dsl::happened_at);
        let said = (dsl::message_id, dsl::participant_id, dsl::user_id, dsl::name, dsl::language, dsl::said);
        const SESSION: &str = "jaas_phrases.session_id";
        let from = after.as_ref().map_or(i64::MIN, |(at, _)| *at);
        let mut rows = dsl::jaas_phrases
            .filter(between((SESSION, "jaas_phrases.happened_at"), session, (from, i64::MAX)))
            .order((sql::<Text>(&Backend::order_of(SESSION)), dsl::happened_at, dsl::event_key))
            .limit(limit)
            .select((head, said))
            .into_boxed();
        if let Some((at, key)) = after {
            rows = rows.filter(dsl::happened_at.gt(at).or(dsl::event_key.gt(key)));
        }
        rows.load(self).await
    }

    async fn devices_by_month(
        &mut self,
        tenant: &str,
        before: Option<i32>,
        limit: i64,
    ) -> QueryResult<Vec<(i32, i64)>> {
        use jaas_devices::dsl;
        dsl::jaas_devices
            .filter(dsl::tenant.eq(tenant).and(dsl::month.lt(before.unwrap_or(i32::MAX))))
            .group_by(dsl::month)
            .order(dsl::month.desc())
            .limit(limit)
            .select((dsl::month, count(dsl::device).aggregate_distinct()))
            .load(self)
            .await
    }
}

/// Inserts rows unless they are there.
struct InsertNotes<'a> {
    notes: &'a NoteRows,
    rows: &'a [Vec<Cell>],
}

known_by_text!(InsertNotes<'_>);

impl QueryFragment<Backend> for InsertNotes<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if self.rows.len() > 1 {
            // Each number of rows is another text.
            out.unsafe_to_cache_prepared();
        }
        let NoteRows { table, session, key, at, .. } = self.notes;
        out.push_sql(Backend::INSERT_NEW);
        for sql in
            [" INTO ", table.name, " (session_id, event_key, happened_at, ", table.columns, ") VALUES "]
        {
            out.push_sql(sql);
        }
        for (index, row) in self.rows.iter().enumerate() {
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(session)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(at)?;
            for cell in row {
                out.push_sql(", ");
                match cell {
                    Cell::Text(text) => out.push_bind_param::<Nullable<Text>, _>(text)?,
                    Cell::Number(number) => out.push_bind_param::<BigInt, _>(number)?,
                    Cell::Small(number) => out.push_bind_param::<Nullable<SmallInt>, _>(number)?,
                    Cell::Int(number) => out.push_bind_param::<Integer, _>(number)?,
                }
            }
            out.push_sql(")");
        }
        out.push_sql(Backend::UNLESS_KNOWN);
        Ok(())
    }
}

/// Deletes the rows of these events of a session.
struct DeleteNotes<'a> {
    table: &'static str,
    session: &'a str,
    keys: &'a [String],
}

known_by_text!(DeleteNotes<'_>);

impl QueryFragment<Backend> for DeleteNotes<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        for sql in ["DELETE FROM ", self.table, " WHERE session_id = "] {
            out.push_sql(sql);
        }
        out.push_bind_param::<Text, _>(self.session)?;
        out.push_sql(" AND event_key IN (");
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                out.push_sql(", ");
            }
            out.push_bind_param::<Text, _>(key)?;
        }
        out.push_sql(")");
        Ok(())
    }
}
