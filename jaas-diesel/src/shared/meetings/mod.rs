//! The statements about meetings. Each backend compiles this file as a module: `Connection` is the connection that its
//! transactional handlers are given.

mod loading;
mod notes;
mod reader;
mod writing;

use async_trait::async_trait;
use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::expression::{AppearsOnTable, NonAggregate};
use diesel::prelude::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _};
use diesel::query_builder::QueryFragment;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncConnection, AsyncConnectionCore, RunQueryDsl as _, TransactionManager as _};
use jaas_core::Fqn;
use jaas_core::meetings::stays;

use self::loading::{
    all_edges, all_marks, all_sittings, all_stays, load_edges, load_marks, load_sittings, load_stays,
};
pub use self::reader::MeetingTables;
pub(super) use self::writing::DeleteSession;
use self::writing::{Closed, InsertEdge, Opened, UpsertStays};
use super::Connection;
use crate::meetings::dialect::Dialect;
use crate::meetings::rows::{EdgeRow, MarkRow, RoomKey, SittingRow, StayRow};
use crate::meetings::schema::{TABLES, jaas_edges, jaas_marks, jaas_sittings, jaas_stays};
use crate::meetings::tables::Tables;

type Backend = <Connection as AsyncConnectionCore>::Backend;
/// The column of the rooms of sittings.
const ROOM: &str = "jaas_sittings.room";
/// How many rows one statement writes at most.
const MANY: usize = 1000;

type Transactions = <Connection as AsyncConnection>::TransactionManager;

#[async_trait]
impl Tables for Connection {
    async fn record(&mut self, edge: &EdgeRow, fqn: &Fqn, due_at: i64) -> QueryResult<bool> {
        if InsertEdge(edge.clone()).execute(self).await? == 0 {
            return Ok(false);
        }
        let room = RoomKey::of(fqn);
        match (edge.is_of_a_room(), edge.what.as_str(), edge.place.as_str()) {
            (true, "opened", "main") => {
                Opened { room, edge: edge.clone() }.execute(self).await?;
            }
            (true, "closed", place) => {
                close_stays(self, edge).await?;
                if place == "main" {
                    Closed { room, edge: edge.clone(), due_at: Some(due_at) }.execute(self).await?;
                }
            }
            (true, ..) => {}
            (false, ..) => {
                let edges = edges_of(self, &edge.session_id, &edge.presence).await?;
                let edges: Vec<_> = edges.into_iter().map(|row| row.edge(fqn)).collect();
                let rows: Vec<_> = stays(&edges).iter().map(|stay| StayRow::new(stay, &room)).collect();
                for some in rows.chunks(MANY) {
                    UpsertStays(some.to_vec()).execute(self).await?;
                }
            }
        }
        Ok(true)
    }

    async fn open_stays(&mut self, room: &RoomKey) -> QueryResult<Vec<StayRow>> {
        use jaas_stays::dsl;
        let mut rows = all_stays().filter(dsl::room.eq(&room.room).and(dsl::left_at.is_null()));
        if !room.tenant.is_empty() {
            rows = rows.filter(dsl::tenant.eq(&room.tenant));
        }
        load_stays(self, rows).await
    }

    async fn newest_sittings(
        &mut self,
        room: Option<&RoomKey>,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> QueryResult<Vec<SittingRow>> {
        use jaas_sittings::dsl;
        let until = after.as_ref().map_or(i64::MAX, |(at, _)| *at);
        let rows = all_sittings().limit(limit);
        let mut rows = match room {
            None => {
                rows.filter(dsl::first_at.le(until)).order((dsl::first_at.desc(), dsl::session_id.desc()))
            }
            Some(room) => {
                let mut rows =
                    rows.filter(between((ROOM, "jaas_sittings.first_at"), &room.room, (i64::MIN, until)));
                if !room.tenant.is_empty() {
                    rows = rows.filter(of_tenant(&room.tenant));
                }
                rows.order((
                    sql::<Text>(&Backend::order_of(ROOM)).desc(),
                    dsl::first_at.desc(),
                    dsl::session_id.desc(),
                ))
            }
        };
        if let Some((at, session)) = after {
            rows = rows.filter(dsl::first_at.lt(at).or(dsl::session_id.lt(session)));
        }
        load_sittings(self, rows).await
    }

    async fn sittings(
        &mut self,
        room: &RoomKey,
        (from, until): (i64, i64),
        after: Option<String>,
        limit: i64,
    ) -> QueryResult<Vec<SittingRow>> {
        use jaas_sittings::dsl;
        let after = match after {
            Some(session) => Tables::sitting(self, &session).await?,
            None => None,
        };
        let from = after.as_ref().map_or(from, |last| last.first_at.max(from));
        let mut rows = all_sittings()
            .filter(between((ROOM, "jaas_sittings.first_at"), &room.room, (from, until.saturating_sub(1))))
            .order((sql::<Text>(&Backend::order_of(ROOM)), dsl::first_at, dsl::session_id))
            .limit(limit);
        if !room.tenant.is_empty() {
            rows = rows.filter(of_tenant(&room.tenant));
        }
        if let Some(last) = after {
            rows = rows.filter(dsl::first_at.gt(last.first_at).or(dsl::session_id.gt(last.session_id)));
        }
        load_sittings(self, rows).await
    }

    async fn sitting(&mut self, session: &str) -> QueryResult<Option<SittingRow>> {
        let found = load_sittings(self, all_sittings().filter(jaas_sittings::session_id.eq(session)));
        Ok(found.await?.pop())
    }

    async fn sittings_of(&mut self, sessions: &[String]) -> QueryResult<Vec<SittingRow>> {
        load_sittings(self, all_sittings().filter(jaas_sittings::session_id.eq_any(sessions))).await
    }

    async fn stays(&mut self, session: &str) -> QueryResult<Vec<StayRow>> {
        load_stays(self, all_stays().filter(jaas_stays::session_id.eq(session))).await
    }

    async fn marks(&mut self, session: &str) -> QueryResult<Vec<MarkRow>> {
        load_marks(self, all_marks().filter(jaas_marks::session_id.eq(session))).await
    }

    async fn stays_of_user(
        &mut self,
        user: &str,
        (from, until): (i64, i64),
        limit: i64,
    ) -> QueryResult<Vec<StayRow>> {
        use jaas_stays::dsl;
        let rows = all_stays()
            .filter(dsl::user_id.eq(user).and(dsl::joined_at.ge(from)).and(dsl::joined_at.lt(until)))
            .order(dsl::joined_at)
            .limit(limit);
        load_stays(self, rows).await
    }

    async fn erase(&mut self, session: &str) -> QueryResult<()> {
        for table in TABLES {
            DeleteSession { table, session }.execute(self).await?;
        }
        Ok(())
    }

    async fn replace(&mut self, session: &str, edges: &[EdgeRow], fqn: &Fqn) -> QueryResult<i64> {
        for some in edges.chunks(MANY) {
            use jaas_edges::dsl;
            let keys: Vec<&str> = some.iter().map(|edge| edge.event_key.as_str()).collect();
            let old = dsl::jaas_edges.filter(dsl::session_id.eq(session).and(dsl::event_key.eq_any(keys)));
            diesel::delete(old).execute(self).await?;
        }
        for edge in edges {
            InsertEdge(edge.clone()).execute(self).await?;
        }
        let all = load_edges(self, all_edges().filter(jaas_edges::session_id.eq(session))).await?;
        let room = RoomKey::of(fqn);
        diesel::delete(jaas_stays::table.filter(jaas_stays::session_id.eq(session))).execute(self).await?;
        let known: Vec<_> = all.iter().map(|row| row.clone().edge(fqn)).collect();
        let rows: Vec<_> = stays(&known).iter().map(|stay| StayRow::new(stay, &room)).collect();
        for some in rows.chunks(MANY) {
            UpsertStays(some.to_vec()).execute(self).await?;
        }
        // When the sitting was announced, or is to be, stays as it is.
        let mut rooms: Vec<&EdgeRow> =
            all.iter().filter(|row| row.is_of_a_room() && row.place == "main").collect();
        rooms.sort_by_key(|row| (row.happened_at, row.what != "opened"));
        for edge in rooms {
            let (room, edge) = (room.clone(), edge.clone());
            if edge.what == "opened" {
                Opened { room, edge }.execute(self).await?;
            } else {
                Closed { room, edge, due_at: None }.execute(self).await?;
            }
        }
        Ok(all.len() as i64)
    }

    async fn count_edges(&mut self, session: &str) -> QueryResult<i64> {
        jaas_edges::table.filter(jaas_edges::session_id.eq(session)).count().get_result(self).await
    }

    async fn due(&mut self, now: i64, limit: i64) -> QueryResult<Vec<String>> {
        use jaas_sittings::dsl;
        dsl::jaas_sittings
            .filter(dsl::due_at.le(now))
            .order(dsl::due_at)
            .limit(limit)
            .select(dsl::session_id)
            .load(self)
            .await
    }

    async fn take_due(&mut self, session: &str, now: i64) -> QueryResult<bool> {
        use jaas_sittings::dsl;
        let due = dsl::jaas_sittings.filter(dsl::session_id.eq(session).and(dsl::due_at.le(now)));
        let taken = diesel::update(due).set((dsl::due_at.eq(None::<i64>), dsl::told_at.eq(now)));
        Ok(taken.execute(self).await? > 0)
    }

    async fn postpone(&mut self, session: &str, now: i64, until: i64) -> QueryResult<()> {
        use jaas_sittings::dsl;
        let due = dsl::jaas_sittings.filter(dsl::session_id.eq(session).and(dsl::due_at.le(now)));
        diesel::update(due).set(dsl::due_at.eq(until)).execute(self).await?;
        Ok(())
    }

    async fn begin(&mut self) -> QueryResult<()> {
        Transactions::begin_transaction(self).await
    }

    async fn commit(&mut self) -> QueryResult<()> {
        Transactions::commit_transaction(self).await
    }

    async fn rollback(&mut self) -> QueryResult<()> {
        Transactions::rollback_transaction(self).await
    }
}

/// Whether a column has this value and a time lies between two, for the index of both columns. The order of the rows must begin
/// with [`Dialect::order_of`] the column, or the index would not be read in its order.
fn between<T>(
    (column, time): (&str, &str),
    value: &str,
    (from, until): (i64, i64),
) -> impl AppearsOnTable<T, SqlType = Bool> + NonAggregate + QueryFragment<Backend> + Send + use<T> {
    let [before, and_from, and, and_until, end] = Backend::between(column, time);
    let is_from = sql::<Bool>(&before).bind::<Text, _>(value.to_owned()).sql(&and_from);
    let is_until = is_from.bind::<BigInt, _>(from).sql(&and).bind::<Text, _>(value.to_owned());
    is_until.sql(&and_until).bind::<BigInt, _>(until).sql(&end)
}

/// Whether a sitting is of this tenant. As a choice: an equality would be taken for rare, and all sittings of the room would be
/// read.
fn of_tenant(
    tenant: &str,
) -> impl AppearsOnTable<jaas_sittings::table, SqlType = Bool> + NonAggregate + QueryFragment<Backend> + Send + use<>
{
    let is_tenant = sql::<Bool>("CASE WHEN jaas_sittings.tenant = ").bind::<Text, _>(tenant.to_owned());
    is_tenant.sql(" THEN TRUE ELSE FALSE END")
}

/// The edges of a presence, and those of rooms.
async fn edges_of(connection: &mut Connection, session: &str, presence: &str) -> QueryResult<Vec<EdgeRow>> {
    use jaas_edges::dsl;
    let of_both = dsl::presence.eq(presence).or(dsl::presence.eq(""));
    load_edges(connection, all_edges().filter(dsl::session_id.eq(session).and(of_both))).await
}

/// Ends the stays in a room that closed, as far as no leave is known and nothing ended them before: what
/// [`stays`](jaas_core::meetings::stays) says of them.
async fn close_stays(connection: &mut Connection, closed: &EdgeRow) -> QueryResult<()> {
    use jaas_stays::dsl;
    let at = closed.happened_at;
    let still_open = dsl::left_at.is_null().or(dsl::estimated.eq(1).and(dsl::left_at.gt(at)));
    let within = dsl::session_id.eq(&closed.session_id).and(dsl::joined_at.le(at));
    let ended = (dsl::left_at.eq(at), dsl::estimated.eq(1));
    if closed.place == "main" {
        let open = dsl::jaas_stays.filter(within.and(still_open));
        diesel::update(open).set(ended).execute(connection).await?;
    } else {
        let open = dsl::jaas_stays.filter(within.and(still_open).and(dsl::place.eq(&closed.place)));
        diesel::update(open).set(ended).execute(connection).await?;
    }
    Ok(())
}
