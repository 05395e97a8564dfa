//! Applying, listing and reverting migrations.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, which blocks, `AsyncPgConnection` or
//! `AsyncMysqlConnection`, and `dialect` the backend's module of this name.
//!
//! `jaas_migrations` holds which migrations were applied. Diesel's `__diesel_schema_migrations` belongs to the
//! application: a foreign version in it breaks `diesel migration revert`.

use diesel::prelude::{ExpressionMethods as _, QueryDsl as _};
use jaas_core::{Clock as _, SystemClock};

use super::dialect::{self, Connection, RunQueryDsl as _, SCRIPTS};
use crate::migrations::{Migration, MigrationError};
use crate::schema::jaas_migrations::dsl;

/// Applies the migrations that are pending; returns them. Processes that start at the same time take turns.
pub(super) async fn apply(connection: &mut Connection) -> Result<Vec<Migration>, MigrationError> {
    // First without the lock: most starts have nothing to apply and must not wait for another process.
    if list(connection).await?.iter().all(|migration| migration.applied_at.is_some()) {
        return Ok(Vec::new());
    }
    dialect::exclusively!(connection, {
        let mut applied = Vec::new();
        for (script, migration) in SCRIPTS.iter().zip(list(connection).await?) {
            if migration.applied_at.is_some() {
                continue;
            }
            dialect::batch_execute(connection, script.up)
                .await
                .map_err(|source| MigrationError::Failed { version: script.version, source })?;
            let now = SystemClock.now().as_millis();
            diesel::insert_into(dsl::jaas_migrations)
                .values((dsl::version.eq(script.version), dsl::applied_at.eq(now)))
                .execute(connection)
                .await?;
            applied.push(script.migration(Some(now)));
        }
        Ok(applied)
    })
}

/// Every migration that this version knows, in order. Fails when the database has a migration of a newer version.
pub(super) async fn list(connection: &mut Connection) -> Result<Vec<Migration>, MigrationError> {
    let applied: Vec<(String, i64)> = if dialect::is_migrated(connection).await? {
        dsl::jaas_migrations
            .order(dsl::version)
            .select((dsl::version, dsl::applied_at))
            .load(connection)
            .await?
    } else {
        Vec::new()
    };
    let known = |version: &str| SCRIPTS.iter().any(|script| script.version == version);
    if let Some((version, _)) = applied.iter().rev().find(|(version, _)| !known(version)) {
        return Err(MigrationError::Newer { version: version.clone() });
    }
    let applied_at = |version: &str| applied.iter().find(|(each, _)| each == version).map(|(_, at)| *at);
    Ok(SCRIPTS.iter().map(|script| script.migration(applied_at(script.version))).collect())
}

/// Fails unless every migration is applied.
pub(super) async fn check(connection: &mut Connection) -> Result<(), MigrationError> {
    match list(connection).await?.iter().find(|migration| migration.applied_at.is_none()) {
        Some(migration) => Err(MigrationError::Pending { version: migration.version.clone() }),
        None => Ok(()),
    }
}

/// Reverts the migration that was applied last, and deletes what its tables hold. Returns the migration.
pub(super) async fn revert(connection: &mut Connection) -> Result<Option<Migration>, MigrationError> {
    dialect::exclusively!(connection, {
        let migrations = list(connection).await?;
        let applied = SCRIPTS.iter().zip(migrations).rev();
        let Some((script, migration)) =
            applied.into_iter().find(|(_, migration)| migration.applied_at.is_some())
        else {
            return Ok(None);
        };
        dialect::batch_execute(connection, script.down)
            .await
            .map_err(|source| MigrationError::Failed { version: script.version, source })?;
        diesel::delete(dsl::jaas_migrations.find(script.version)).execute(connection).await?;
        Ok(Some(Migration { applied_at: None, ..migration }))
    })
}
