//! The statements that write edges, stays and sittings.

use diesel::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

use super::Backend;
use crate::meetings::dialect::Dialect;
use crate::meetings::rows::{EdgeRow, RoomKey, StayRow};
use crate::statement::known_by_text;

/// Inserts an edge unless there is one of the same event.
#[derive(QueryId)]
pub(super) struct InsertEdge(pub(super) EdgeRow);

impl QueryFragment<Backend> for InsertEdge {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (row, who) = (&self.0, &self.0.who);
        out.push_sql(Backend::INSERT_NEW);
        out.push_sql(
            " INTO jaas_edges (session_id, event_key, happened_at, what, place, presence, via, reason, user_id, \
             participant_id, jid, name, email, address) VALUES (",
        );
        out.push_bind_param::<Text, _>(&row.session_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&row.event_key)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.happened_at)?;
        for text in [&row.what, &row.place, &row.presence, &who.via] {
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(text)?;
        }
        let optional =
            [&who.reason, &who.user_id, &who.participant_id, &who.jid, &who.name, &who.email, &who.address];
        for text in optional {
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(text)?;
        }
        out.push_sql(")");
        out.push_sql(Backend::UNLESS_KNOWN);
        Ok(())
    }
}

/// Inserts stays, and updates those that are known.
pub(super) struct UpsertStays(pub(super) Vec<StayRow>);

known_by_text!(UpsertStays);

impl QueryFragment<Backend> for UpsertStays {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        const CHANGING: [&str; 10] = [
            "left_at",
            "estimated",
            "reason",
            "via",
            "user_id",
            "participant_id",
            "jid",
            "name",
            "email",
            "address",
        ];
        out.push_sql(
            "INSERT INTO jaas_stays (session_id, presence, place, tenant, room, via, joined_at, left_at, estimated, reason, \
             user_id, participant_id, jid, name, email, address) VALUES ",
        );
        for (index, row) in self.0.iter().enumerate() {
            let who = &row.who;
            out.push_sql(if index > 0 { ", (" } else { "(" });
            for text in [&row.session_id, &row.presence, &row.place, &row.tenant, &row.room, &who.via] {
                out.push_bind_param::<Text, _>(text)?;
                out.push_sql(", ");
            }
            out.push_bind_param::<BigInt, _>(&row.joined_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&row.left_at)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(&row.estimated)?;
            let optional = [
                &who.reason,
                &who.user_id,
                &who.participant_id,
                &who.jid,
                &who.name,
                &who.email,
                &who.address,
            ];
            for text in optional {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Text>, _>(text)?;
            }
            out.push_sql(")");
        }
        out.push_sql(&Backend::if_known("session_id, presence, place, joined_at"));
        for (index, column) in CHANGING.iter().enumerate() {
            out.push_sql(if index > 0 { ", " } else { " " });
            out.push_sql(&format!("{column} = {}", Backend::given(column)));
        }
        Ok(())
    }
}

/// The main room opened. An opening after the recorded end removes that end.
#[derive(QueryId)]
pub(super) struct Opened {
    pub(super) room: RoomKey,
    pub(super) edge: EdgeRow,
}

impl QueryFragment<Backend> for Opened {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO jaas_sittings (session_id, tenant, room, first_at, opened_at, last_opened_at) VALUES (",
        );
        sitting(&mut out, &self.room, &self.edge)?;
        for _ in 0..2 {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&self.edge.happened_at)?;
        }
        out.push_sql(")");
        out.push_sql(&Backend::if_known("session_id"));
        let (at, row) = (Backend::given("opened_at"), "jaas_sittings");
        // MySQL sets one column after the other, so what depends on others comes before them.
        out.push_sql(&format!(
            " due_at = CASE WHEN {at} > {row}.ended_at THEN NULL ELSE {row}.due_at END, \
             ended_at = CASE WHEN {at} > {row}.ended_at THEN NULL ELSE {row}.ended_at END, \
             first_at = CASE WHEN {at} < {row}.first_at THEN {at} ELSE {row}.first_at END, \
             opened_at = CASE WHEN {row}.opened_at <= {at} THEN {row}.opened_at ELSE {at} END, \
             last_opened_at = CASE WHEN {row}.last_opened_at >= {at} THEN {row}.last_opened_at ELSE {at} END"
        ));
        Ok(())
    }
}

/// The main room closed. That is the end, unless it opened later.
#[derive(QueryId)]
pub(super) struct Closed {
    pub(super) room: RoomKey,
    pub(super) edge: EdgeRow,
    /// When the end is to be announced; `None` leaves that as it is.
    pub(super) due_at: Option<i64>,
}

impl QueryFragment<Backend> for Closed {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO jaas_sittings (session_id, tenant, room, first_at, last_closed_at, ended_at, due_at) VALUES (",
        );
        sitting(&mut out, &self.room, &self.edge)?;
        for _ in 0..2 {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&self.edge.happened_at)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&self.due_at)?;
        out.push_sql(")");
        out.push_sql(&Backend::if_known("session_id"));
        let (at, due, row) = (Backend::given("last_closed_at"), Backend::given("due_at"), "jaas_sittings");
        let is_last = format!(
            "COALESCE({row}.last_closed_at, {at}) <= {at} AND COALESCE({row}.last_opened_at, {at}) <= {at}"
        );
        out.push_sql(&format!(
            " due_at = CASE WHEN {row}.told_at IS NULL AND {is_last} THEN COALESCE({due}, {row}.due_at) ELSE {row}.due_at END, \
             ended_at = CASE WHEN {is_last} THEN {at} ELSE {row}.ended_at END, \
             first_at = CASE WHEN {at} < {row}.first_at THEN {at} ELSE {row}.first_at END, \
             last_closed_at = CASE WHEN {row}.last_closed_at >= {at} THEN {row}.last_closed_at ELSE {at} END"
        ));
        Ok(())
    }
}

fn sitting<'b>(out: &mut AstPass<'_, 'b, Backend>, room: &'b RoomKey, edge: &'b EdgeRow) -> QueryResult<()> {
    for text in [&edge.session_id, &room.tenant, &room.room] {
        out.push_bind_param::<Text, _>(text)?;
        out.push_sql(", ");
    }
    out.push_bind_param::<BigInt, _>(&edge.happened_at)
}

/// Deletes the rows of a session from one of the tables.
pub(in super::super) struct DeleteSession<'a> {
    pub(in super::super) table: &'static str,
    /// As it is in the tables.
    pub(in super::super) session: &'a str,
}

known_by_text!(DeleteSession<'_>);

impl QueryFragment<Backend> for DeleteSession<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("DELETE FROM ");
        out.push_sql(self.table);
        out.push_sql(" WHERE session_id = ");
        out.push_bind_param::<Text, _>(self.session)
    }
}
