//! The inserts of watched sessions, as SQL text: each can find its row there already.
//!
//! Compiled once per backend, below its module `watch`.

use diesel::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::AsyncConnectionCore;

use super::Tx;
use crate::meetings::dialect::Dialect;
use crate::statement::known_by_text;
use crate::watch::rows::{GapRow, SightingRow};

type Backend = <Tx as AsyncConnectionCore>::Backend;

/// Inserts sightings of one event, except those that are there.
pub(super) struct InsertSightings(pub(super) Vec<SightingRow>);

known_by_text!(InsertSightings);

impl<Conn> diesel::RunQueryDsl<Conn> for InsertSightings {}

impl QueryFragment<Backend> for InsertSightings {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(Backend::INSERT_NEW);
        values(&self.0, &mut out)?;
        out.push_sql(Backend::UNLESS_KNOWN);
        Ok(())
    }
}

/// Inserts sightings of an endpoint; those that are there get the later time.
pub(super) struct MoveSightings(pub(super) Vec<SightingRow>);

known_by_text!(MoveSightings);

impl<Conn> diesel::RunQueryDsl<Conn> for MoveSightings {}

impl QueryFragment<Backend> for MoveSightings {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("INSERT");
        values(&self.0, &mut out)?;
        out.push_sql(&Backend::if_known("session_id, what, slot"));
        let (given, known) = (Backend::given("happened_at"), "jaas_sightings.happened_at");
        out.push_sql(&format!(" happened_at = CASE WHEN {known} > {given} THEN {known} ELSE {given} END"));
        Ok(())
    }
}

fn values<'b>(rows: &'b [SightingRow], out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
    out.push_sql(
        " INTO jaas_sightings (session_id, what, slot, place, presence, via, happened_at, recorded_at, began_at, \
         ended_at) VALUES ",
    );
    for (index, row) in rows.iter().enumerate() {
        out.push_sql(if index > 0 { ", (" } else { "(" });
        for text in [&row.session_id, &row.what, &row.slot, &row.place, &row.presence, &row.via] {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<BigInt, _>(&row.happened_at)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.recorded_at)?;
        for time in [&row.began_at, &row.ended_at] {
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(time)?;
        }
        out.push_sql(")");
    }
    Ok(())
}

/// Something was recorded of a session: it is due at the earlier time, or now if it has an open gap.
#[derive(QueryId)]
pub(super) struct WatchSession {
    pub(super) session_id: String,
    pub(super) fqn: String,
    pub(super) now: i64,
    pub(super) due_at: i64,
}

impl<Conn> diesel::RunQueryDsl<Conn> for WatchSession {}

impl QueryFragment<Backend> for WatchSession {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("INSERT INTO jaas_watched (session_id, fqn, last_seen_at, version, due_at) VALUES (");
        out.push_bind_param::<Text, _>(&self.session_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.fqn)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql(", 1, ");
        out.push_bind_param::<BigInt, _>(&self.due_at)?;
        out.push_sql(")");
        out.push_sql(&Backend::if_known("session_id"));
        let (now, due, row) = (Backend::given("last_seen_at"), Backend::given("due_at"), "jaas_watched");
        let due = format!("CASE WHEN {row}.open_gaps > 0 THEN {now} ELSE {due} END");
        out.push_sql(&format!(
            " due_at = CASE WHEN {row}.due_at < {due} THEN {row}.due_at ELSE {due} END, \
             last_seen_at = CASE WHEN {row}.last_seen_at > {now} THEN {row}.last_seen_at ELSE {now} END, \
             version = {row}.version + 1"
        ));
        Ok(())
    }
}

/// Inserts a gap, unless it is there.
#[derive(QueryId)]
pub(super) struct InsertGap(pub(super) GapRow);

impl<Conn> diesel::RunQueryDsl<Conn> for InsertGap {}

impl QueryFragment<Backend> for InsertGap {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let row = &self.0;
        out.push_sql(Backend::INSERT_NEW);
        out.push_sql(
            " INTO jaas_gaps (session_id, rule, subject, tenant, room, fqn, participant_id, seen_at, due_at, found_at, \
             state) VALUES (",
        );
        for text in [&row.session_id, &row.rule, &row.subject, &row.tenant, &row.room, &row.fqn] {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Nullable<Text>, _>(&row.participant_id)?;
        for time in [&row.seen_at, &row.due_at, &row.found_at] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(time)?;
        }
        out.push_sql(", 'open')");
        out.push_sql(Backend::UNLESS_KNOWN);
        Ok(())
    }
}
