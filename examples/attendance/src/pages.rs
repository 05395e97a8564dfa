//! Who is there, and who was. Put these routes behind a login of your own: they show names.

use std::error::Error;

use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::ContentType;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Responder};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::meetings::{Stay, Timeline, Via};
use jaas_core::{Clock as _, Fqn, Personal, SessionId, SystemClock};
use jaas_diesel::meetings::Meetings;
use jaas_diesel::sqlite::Connection;
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) meetings: Meetings,
    pub(crate) database: String,
}

/// A connection next to the store's. It waits for writers and readers of the file as long as they take, up to 5 s.
pub(crate) async fn connect(database: String) -> Result<Connection, Box<dyn Error + Send + Sync>> {
    let mut connection = Connection::establish(&database).await?;
    connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL;").await?;
    Ok(connection)
}

impl Pages {
    pub(crate) fn config(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let pages = Data::new(self.clone());
        move |config| {
            config
                .app_data(pages)
                // A room's name may have a slash in it.
                .route("/rooms/{room:.+}", web::get().to(room))
                .route("/sessions/{id}.csv", web::get().to(csv))
                .route("/sessions/{id}.svg", web::get().to(svg));
        }
    }

    async fn connection(&self) -> actix_web::Result<Connection> {
        connect(self.database.clone()).await.map_err(ErrorInternalServerError)
    }
}

/// Who is in the room now, and who waits in its lobby.
async fn room(pages: Data<Pages>, request: HttpRequest) -> actix_web::Result<impl Responder> {
    // As it was sent: the framework decodes it when it compares rooms. The slash before it says that no tenant is named.
    let room = Fqn::new(format!("/{}", request.match_info().query("room")));
    let mut connection = pages.connection().await?;
    let present = pages.meetings.present(&mut connection, &room).await.map_err(ErrorInternalServerError)?;
    let list = |stays: &[Stay]| stays.iter().map(person).collect::<Vec<Value>>();
    Ok(web::Json(json!({ "present": list(&present.people), "lobby": list(&present.lobby) })))
}

fn person(stay: &Stay) -> Value {
    let name = stay.who.name.as_ref().or(stay.who.address.as_ref());
    json!({
        "user_id": stay.who.user_id,
        "name": name.map(Personal::expose),
        "since": stay.joined_at.to_string(),
        "visitor": stay.who.via == Via::Visitor,
        "room": stay.place.to_string(),
    })
}

/// The attendance of a session, one line for each person.
async fn csv(pages: Data<Pages>, id: web::Path<String>) -> actix_web::Result<impl Responder> {
    let session = SessionId::new(id.into_inner());
    let mut connection = pages.connection().await?;
    let attendance = pages.meetings.attendance(&mut connection, &session).await;
    Ok(match attendance.map_err(ErrorInternalServerError)? {
        Some(attendance) => {
            HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(attendance.to_csv())
        }
        None => HttpResponse::NotFound().content_type(ContentType::plaintext()).body("no such session\n"),
    })
}

/// The timeline of a session.
async fn svg(pages: Data<Pages>, id: web::Path<String>) -> actix_web::Result<impl Responder> {
    let session = SessionId::new(id.into_inner());
    let mut connection = pages.connection().await?;
    let attendance = pages.meetings.attendance(&mut connection, &session).await;
    let Some(attendance) = attendance.map_err(ErrorInternalServerError)? else {
        return Ok(HttpResponse::NotFound().content_type(ContentType::plaintext()).body("no such session\n"));
    };
    let stays = pages.meetings.stays(&mut connection, &session).await.map_err(ErrorInternalServerError)?;
    let timeline = Timeline::of(&attendance, &stays, SystemClock.now());
    Ok(HttpResponse::Ok().content_type("image/svg+xml").body(timeline.to_string()))
}
