//! Bringing the tables up to date.
//!
//! Which migrations were applied is kept in a table of our own. Diesel's `__diesel_schema_migrations` belongs to the
//! application: a foreign version in it breaks `diesel migration revert`.

use diesel::connection::SimpleConnection as _;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

diesel::table! {
    jaas_migrations (version) {
        version -> Text,
    }
}

diesel::table! {
    sqlite_master (name) {
        name -> Text,
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error("migration {version} failed")]
    Failed { version: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "its tables were made by a newer version of jaas-diesel (migration {version}); update the application"
    )]
    Newer { version: String },
    #[error("the embedded migrations cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Applies what has not been applied. Processes that start at once take turns.
pub(super) fn run(connection: &mut SqliteConnection) -> Result<(), MigrationError> {
    // Looked at without the lock first: most starts have nothing to do and must not wait for a writer.
    if pending(connection)?.is_empty() {
        return Ok(());
    }
    connection.exclusive_transaction(|connection| {
        connection.batch_execute(
            "CREATE TABLE IF NOT EXISTS jaas_migrations (version TEXT PRIMARY KEY NOT NULL)",
        )?;
        for migration in pending(connection)? {
            let version = migration.name().version().to_string();
            migration
                .run(connection)
                .map_err(|source| MigrationError::Failed { version: version.clone(), source })?;
            diesel::insert_into(jaas_migrations::table)
                .values(jaas_migrations::version.eq(version))
                .execute(connection)?;
        }
        Ok(())
    })
}

/// The migrations that are still to be applied, oldest first.
fn pending(connection: &mut SqliteConnection) -> Result<Vec<Box<dyn Migration<Sqlite>>>, MigrationError> {
    let mut migrations =
        MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(MigrationError::Unreadable)?;
    migrations.sort_by_key(|migration| migration.name().version().to_string());
    let is_new = sqlite_master::table.find("jaas_migrations").count().get_result::<i64>(connection)? == 0;
    if is_new {
        return Ok(migrations);
    }
    let mut applied: Vec<String> =
        jaas_migrations::table.select(jaas_migrations::version).load(connection)?;
    migrations.retain(|migration| {
        let version = migration.name().version().to_string();
        let known = applied.len();
        applied.retain(|applied| *applied != version);
        applied.len() == known
    });
    match applied.into_iter().max() {
        Some(version) => Err(MigrationError::Newer { version }),
        None => Ok(migrations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_a_newer_version_are_refused() {
        let mut connection = SqliteConnection::establish(":memory:").expect("opened");
        run(&mut connection).expect("migrated");
        run(&mut connection).expect("nothing to do");
        diesel::insert_into(jaas_migrations::table)
            .values(jaas_migrations::version.eq("29991231000000"))
            .execute(&mut connection)
            .expect("inserted");
        let error = run(&mut connection).expect_err("newer").to_string();
        assert!(error.contains("29991231000000") && error.contains("update the application"), "{error}");
    }

    #[test]
    fn a_migration_can_be_reverted_and_applied_again() {
        let mut connection = SqliteConnection::establish(":memory:").expect("opened");
        run(&mut connection).expect("migrated");
        for migration in MigrationSource::<Sqlite>::migrations(&MIGRATIONS).expect("readable") {
            migration.revert(&mut connection).expect("reverted");
        }
        let left: i64 = sqlite_master::table
            .filter(sqlite_master::name.like("jaas_%"))
            .filter(sqlite_master::name.not_like("jaas_migrations"))
            .count()
            .get_result(&mut connection)
            .expect("counted");
        assert_eq!(left, 0, "nothing but the list of versions is left");
        diesel::delete(jaas_migrations::table).execute(&mut connection).expect("emptied");
        run(&mut connection).expect("migrated again");
    }

    #[test]
    fn the_applications_own_list_of_migrations_is_left_alone() {
        let mut connection = SqliteConnection::establish(":memory:").expect("opened");
        run(&mut connection).expect("migrated");
        let foreign: i64 = sqlite_master::table
            .find("__diesel_schema_migrations")
            .count()
            .get_result(&mut connection)
            .expect("counted");
        assert_eq!(foreign, 0);
    }
}
