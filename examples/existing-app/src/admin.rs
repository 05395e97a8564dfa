//! Routes for operators: list dead letters, and replay them.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use jaas_core::store::{AuditNote, EventAdmin as _, EventQuery, EventState, RowId, StoredEvent};
use jaas_core::telemetry::TraceContext;
use jaas_core::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::error::AppError;

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/dead-letters", web::get().to(dead_letters))
        .route("/dead-letters/{id}/replay", web::post().to(replay));
}

/// A dead letter without its body, which contains people's names.
#[derive(Serialize)]
struct DeadLetter {
    id: i64,
    event_type: String,
    key: String,
    session: Option<String>,
    received_at: String,
    attempts: u32,
    error: Option<String>,
    /// The id of its trace in the tracing system.
    trace: Option<String>,
}

impl From<StoredEvent> for DeadLetter {
    fn from(event: StoredEvent) -> Self {
        Self {
            id: event.id.get(),
            event_type: event.event_type,
            key: event.idempotency_key.to_string(),
            session: event.session_id.map(|session| session.to_string()),
            received_at: event.received_at.to_string(),
            attempts: event.failures + event.crashes + event.interruptions,
            error: event.note,
            trace: event.trace.as_ref().map(TraceContext::trace_id).map(str::to_owned),
        }
    }
}

#[derive(Deserialize)]
struct Place {
    after: Option<i64>,
}

/// Returns up to a hundred, oldest first. To continue, pass the last `id` as `?after=`, until the list is empty.
async fn dead_letters(state: Data<State>, place: Query<Place>) -> Result<Json<Vec<DeadLetter>>, AppError> {
    let mut query = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    query.page.after = place.after.map(RowId::new);
    let dead = state.inbox.events(&query).await?.items;
    Ok(Json(dead.into_iter().map(DeadLetter::from).collect()))
}

async fn replay(state: Data<State>, id: Path<i64>) -> Result<HttpResponse, AppError> {
    // The audit records who replayed it and why. An application with users names the user.
    let note = AuditNote::new("operator", "replayed by hand");
    state.inbox.replay(RowId::new(*id), &note, SystemClock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}
