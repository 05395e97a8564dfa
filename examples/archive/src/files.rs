//! What this application does about files: a row for each that is kept, and a line on standard output for each end.

use std::io::Write as _;

use async_trait::async_trait;
use diesel::ExpressionMethods as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::archive::{Artifact, ArtifactContext, ArtifactHandler, AtRisk, Kept, Lost};
use jaas_core::telemetry::Escaped;
use jaas_core::{Handled, HandlerResult};
use jaas_diesel::sqlite::Connection;

diesel::table! {
    files (artifact) {
        artifact -> BigInt,
        kind -> Text,
        idempotency_key -> Text,
        session_id -> Nullable<Text>,
        object -> Nullable<Text>,
        bytes -> BigInt,
        lost -> Nullable<Text>,
    }
}

/// Each method runs in the transaction that records what became of the file: each file has one row, even after a crash.
pub(crate) struct Files;

#[async_trait]
impl ArtifactHandler<Connection> for Files {
    async fn stored(&self, cx: &mut ArtifactContext<'_, Connection>, kept: &Kept) -> HandlerResult {
        let bytes = i64::try_from(kept.bytes)?;
        write(cx, Some(&kept.object), bytes, None).await?;
        say(cx.artifact(), "stored", &kept.bytes.to_string());
        Ok(Handled::Done)
    }

    async fn at_risk(&self, cx: &mut ArtifactContext<'_, Connection>, risk: &AtRisk) -> HandlerResult {
        let artifact = cx.artifact();
        // An operator should look: a recording can be downloaded by hand in the JaaS user interface for 24 h.
        tracing::warn!(kind = %artifact.kind, left = ?risk.left, "a file may be lost");
        Ok(Handled::Done)
    }

    async fn lost(&self, cx: &mut ArtifactContext<'_, Connection>, lost: &Lost) -> HandlerResult {
        write(cx, None, 0, Some(lost.why.as_str())).await?;
        say(cx.artifact(), "lost", lost.why.as_str());
        Ok(Handled::Done)
    }
}

async fn write(
    cx: &mut ArtifactContext<'_, Connection>,
    object: Option<&str>,
    bytes: i64,
    lost: Option<&str>,
) -> diesel::QueryResult<()> {
    let artifact = cx.artifact();
    let row = (
        files::artifact.eq(artifact.id.get()),
        files::kind.eq(artifact.kind.as_str()),
        files::idempotency_key.eq(artifact.idempotency_key.as_str()),
        files::session_id.eq(artifact.session_id.as_ref().map(|session| session.as_str())),
        files::object.eq(object),
        files::bytes.eq(bytes),
        files::lost.eq(lost),
    );
    diesel::insert_into(files::table).values(row).execute(cx.tx()).await?;
    Ok(())
}

/// The line. It is written before the commit: after a crash in between, it is written again.
fn say(artifact: &Artifact, end: &str, how: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{end} {} {} {how}", artifact.kind, Escaped(&artifact.idempotency_key));
    let _ = out.flush();
}

/// Creates this application's table.
pub(crate) async fn create_table(database: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::establish(database).await?;
    connection
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS files (
                artifact        INTEGER PRIMARY KEY NOT NULL,
                kind            TEXT    NOT NULL,
                idempotency_key TEXT    NOT NULL,
                session_id      TEXT,
                object          TEXT,
                bytes           BIGINT  NOT NULL,
                lost            TEXT
            )",
        )
        .await?;
    Ok(())
}
