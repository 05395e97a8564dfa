//! The database that a command works on.

use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::values;

/// The database, and how long to wait for it.
#[derive(Debug, Args)]
pub(crate) struct Database {
    /// Where the inbox is: postgres://…, mysql://…, sqlite:PATH or the path of a SQLite file. Prefer the environment
    /// variable if the address has a password: others can see a command line
    #[arg(
        long = "database",
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true
    )]
    url: Option<String>,

    /// How long to wait for the database
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::duration, global = true)]
    timeout: Duration,
}

/// The kind of a database, and its address.
pub(crate) enum Address {
    Sqlite(String),
    Postgres(String),
    Mysql(String),
}

impl Database {
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn address(&self) -> Result<Address, Failure> {
        let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) else {
            return Err(Failure::usage(
                "no database; pass --database, or set DATABASE_URL to its address, such as postgres://user@host/name",
            ));
        };
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        match scheme {
            "postgres" | "postgresql" => Ok(Address::Postgres(url.to_owned())),
            "mysql" | "mariadb" => Ok(Address::Mysql(format!("mysql:{rest}"))),
            "sqlite" => Ok(Address::Sqlite(rest.strip_prefix("//").unwrap_or(rest).to_owned())),
            _ if rest.starts_with("//") => Err(Failure::usage(
                "the address of the database does not begin with postgres://, mysql:// or sqlite:",
            )),
            _ => Ok(Address::Sqlite(url.to_owned())),
        }
    }
}

/// Runs a command on the store at the address, and closes it.
macro_rules! with_store {
    ($database:expr, $store:ident => $run:expr) => {{
        let database: &$crate::database::Database = $database;
        match database.address()? {
            #[cfg(feature = "sqlite")]
            $crate::database::Address::Sqlite(path) => {
                // Opening creates a missing file.
                if !std::path::Path::new(&path).exists() {
                    let why = format!("there is no file {path}; name the SQLite file of the application's inbox");
                    return Err($crate::failure::Failure::usage(why));
                }
                let builder = jaas_diesel::SqliteStore::builder(path).timeout(database.timeout());
                let $store = builder.migrate(false).open().await?;
                let result = $run.await;
                $store.close().await;
                result
            }
            #[cfg(feature = "postgres")]
            $crate::database::Address::Postgres(url) => {
                let builder = jaas_diesel::PostgresStore::builder(url).timeout(database.timeout()).pool_size(2);
                let $store = builder.migrate(false).open().await?;
                let result = $run.await;
                $store.close().await;
                result
            }
            #[cfg(feature = "mysql")]
            $crate::database::Address::Mysql(url) => {
                let builder = jaas_diesel::MysqlStore::builder(url).timeout(database.timeout()).pool_size(2);
                let $store = builder.migrate(false).open().await?;
                let result = $run.await;
                $store.close().await;
                result
            }
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            _ => Err($crate::failure::Failure::usage(
                "this jaas-db was built without that database; install it with cargo install jaas-diesel --features \
                 command,sqlite,postgres,mysql",
            )),
        }
    }};
}
pub(crate) use with_store;
