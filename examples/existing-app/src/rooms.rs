//! The application's own subject: rooms, and who was in them.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use jaas_core::room_key;
use serde::Deserialize;

use crate::State;
use crate::attendance::{Edge, Stay, stays};
use crate::error::AppError;

diesel::table! {
    rooms (name) {
        name -> Text,
        title -> Text,
    }
}

diesel::table! {
    /// A participant joined or left the main room or a breakout room. `presence` is the participant id, or the address of a
    /// visitor, who has no participant id.
    edges (session_id, presence, place, at, joined) {
        session_id -> Text,
        presence -> Text,
        place -> Text,
        at -> BigInt,
        joined -> Bool,
        room -> Text,
        name -> Nullable<Text>,
    }
}

diesel::table! {
    /// When the meeting of a session ended.
    endings (session_id) {
        session_id -> Text,
        ended_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(edges, endings);

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/rooms/{room}", web::put().to(put))
        .route("/rooms/{room}/attendance", web::get().to(attendance));
}

#[derive(Deserialize)]
struct Room {
    title: String,
}

async fn put(state: Data<State>, room: Path<String>, body: Json<Room>) -> Result<HttpResponse, AppError> {
    let name = room_key(&room);
    diesel::insert_into(rooms::table)
        .values((rooms::name.eq(name), rooms::title.eq(&body.title)))
        .on_conflict(rooms::name)
        .do_update()
        .set(rooms::title.eq(excluded(rooms::title)))
        .execute(&mut state.pool.get().await?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns one entry for each stay. A participant who is still there has no `left_at`.
async fn attendance(state: Data<State>, room: Path<String>) -> Result<Json<Vec<Stay>>, AppError> {
    let edges: Vec<Edge> = edges::table
        .left_join(endings::table.on(endings::session_id.eq(edges::session_id)))
        .filter(edges::room.eq(room_key(&room)))
        .select((
            edges::session_id,
            edges::presence,
            edges::place,
            edges::at,
            edges::joined,
            edges::name,
            endings::ended_at.nullable(),
        ))
        .load(&mut state.pool.get().await?)
        .await?;
    Ok(Json(stays(edges)))
}
