//! The application's handler: one row for each event. Replace it by your own.

use async_trait::async_trait;
use diesel::ExpressionMethods as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::event::Event;
use jaas_core::{Clock as _, Context, EventHandler, Handled, HandlerResult, SystemClock};
use jaas_diesel::sqlite::Connection;

diesel::table! {
    /// When each event was received and handled, in ms since the epoch.
    journal (id) {
        id -> BigInt,
        event_key -> Text,
        received_at -> BigInt,
        handled_at -> BigInt,
    }
}

/// It is mounted as *transactional*, so each event has exactly one row.
pub(crate) struct Journal;

#[async_trait]
impl EventHandler<Connection> for Journal {
    async fn any_event(&self, cx: &mut Context<'_, Connection>, _: &Event) -> HandlerResult {
        let row = (
            journal::event_key.eq(cx.envelope().idempotency_key.as_str()),
            journal::received_at.eq(cx.delivery().received_at.as_millis()),
            journal::handled_at.eq(SystemClock.now().as_millis()),
        );
        diesel::insert_into(journal::table).values(row).execute(cx.tx()).await?;
        Ok(Handled::Done)
    }
}

/// Creates the table. In your application, write a diesel migration.
pub(crate) async fn create_table(database: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::establish(database).await?;
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS journal (
                 id INTEGER NOT NULL PRIMARY KEY, event_key TEXT NOT NULL, received_at BIGINT NOT NULL,
                 handled_at BIGINT NOT NULL);",
        )
        .await?;
    Ok(())
}
