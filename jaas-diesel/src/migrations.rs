//! Migrations: what the three databases have in common.

use jaas_core::Timestamp;

/// A migration that this version of the crate knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Its version. Migrations are applied in the order of their versions.
    pub version: String,
    /// A word for what it changes.
    pub name: String,
    /// When it was applied; `None` while it is pending.
    pub applied_at: Option<Timestamp>,
}

/// The SQL of a migration.
pub(crate) struct Script {
    pub(crate) version: &'static str,
    pub(crate) name: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
}

impl Script {
    pub(crate) fn migration(&self, applied_at: Option<i64>) -> Migration {
        Migration {
            version: self.version.to_owned(),
            name: self.name.to_owned(),
            applied_at: applied_at.map(Timestamp::from_millis),
        }
    }
}

/// The migrations of one database, from its folder in `migrations/`, in order.
macro_rules! scripts {
    ($database:literal) => {
        &[
            $crate::migrations::script!($database, "2026-11-28-000001", "jaas"),
            $crate::migrations::script!($database, "2026-11-28-000002", "artifacts"),
            $crate::migrations::script!($database, "2026-11-28-000003", "meetings"),
            $crate::migrations::script!($database, "2026-11-28-000005", "watch"),
            $crate::migrations::script!($database, "2026-11-28-000006", "drift"),
        ]
    };
}
pub(crate) use scripts;

macro_rules! script {
    ($database:literal, $version:literal, $name:literal) => {
        $crate::migrations::Script {
            version: $version,
            name: $name,
            up: include_str!(concat!("../../migrations/", $database, "/", $version, "_", $name, "/up.sql")),
            down: include_str!(concat!(
                "../../migrations/",
                $database,
                "/",
                $version,
                "_",
                $name,
                "/down.sql"
            )),
        }
    };
}
pub(crate) use script;

/// Why the tables cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error("migration {version} of the tables named jaas_… failed: {source}")]
    Failed { version: &'static str, source: diesel::result::Error },
    #[error(
        "the tables named jaas_… were made by a newer version of jaas-diesel (migration {version}); update the application"
    )]
    Newer { version: String },
    #[error(
        "the tables named jaas_… are not up to date (migration {version} is pending); apply the migrations first, or let \
         the store do it when it opens"
    )]
    Pending { version: String },
    #[error("the list of migrations cannot be read or written: {0}")]
    Query(#[from] diesel::result::Error),
}
