//! What the application is for: rooms, and who was in them.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
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
    /// Somebody came to or left the main room or a breakout room.
    edges (session_id, participant_id, place, at, joined) {
        session_id -> Text,
        participant_id -> Text,
        place -> Text,
        at -> BigInt,
        joined -> Bool,
        room -> Text,
        name -> Nullable<Text>,
    }
}

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/rooms/{room}", web::put().to(put))
        .route("/rooms/{room}/attendance", web::get().to(attendance));
}

#[derive(Deserialize)]
struct Room {
    title: String,
}

async fn put(state: Data<State>, room: Path<String>, body: Json<Room>) -> Result<HttpResponse, AppError> {
    let name = room.to_lowercase();
    diesel::insert_into(rooms::table)
        .values((rooms::name.eq(name), rooms::title.eq(&body.title)))
        .on_conflict(rooms::name)
        .do_update()
        .set(rooms::title.eq(excluded(rooms::title)))
        .execute(&mut state.pool.get().await?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One line for each stay. A coming whose leave did not arrive yet, or never will, has no `left_at`.
async fn attendance(state: Data<State>, room: Path<String>) -> Result<Json<Vec<Stay>>, AppError> {
    let edges: Vec<Edge> = edges::table
        .filter(edges::room.eq(room.to_lowercase()))
        .select((
            edges::session_id,
            edges::participant_id,
            edges::place,
            edges::at,
            edges::joined,
            edges::name,
        ))
        .load(&mut state.pool.get().await?)
        .await?;
    Ok(Json(stays(edges)))
}
