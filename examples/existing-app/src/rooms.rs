//! What the application is for: rooms, and who was in them.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use serde::{Deserialize, Serialize};

use crate::State;
use crate::error::AppError;

diesel::table! {
    rooms (name) {
        name -> Text,
        title -> Text,
    }
}

diesel::table! {
    attendances (session_id, participant_id) {
        session_id -> Text,
        participant_id -> Text,
        room -> Text,
        name -> Nullable<Text>,
        joined_at -> Nullable<BigInt>,
        left_at -> Nullable<BigInt>,
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

#[derive(Serialize)]
struct Attended {
    name: Option<String>,
    joined_at: Option<i64>,
    left_at: Option<i64>,
}

async fn attendance(state: Data<State>, room: Path<String>) -> Result<Json<Vec<Attended>>, AppError> {
    let attended: Vec<(Option<String>, Option<i64>, Option<i64>)> = attendances::table
        .filter(attendances::room.eq(room.to_lowercase()))
        .order((attendances::joined_at, attendances::participant_id))
        .select((attendances::name, attendances::joined_at, attendances::left_at))
        .load(&mut state.pool.get().await?)
        .await?;
    let attended =
        attended.into_iter().map(|(name, joined_at, left_at)| Attended { name, joined_at, left_at });
    Ok(Json(attended.collect()))
}
