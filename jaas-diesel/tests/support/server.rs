//! A database for each test on a server.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::io::Write as _;
use std::sync::Once;

use diesel_async::AsyncConnection;

/// The server in this variable, or the reason why it is not tested, which is printed once, past the capture of output.
pub(crate) fn url(variable: &str) -> Result<String, String> {
    static SAID: [Once; 2] = [Once::new(), Once::new()];
    std::env::var(variable).map_err(|_| {
        let is_postgres = variable.contains("POSTGRES");
        let server = if is_postgres { "PostgreSQL" } else { "MySQL and MariaDB" };
        let why = format!("NOT TESTED here: {server}, because {variable} is not set");
        SAID[usize::from(is_postgres)].call_once(|| {
            let _ = writeln!(std::io::stderr(), "{why}");
        });
        why
    })
}

/// Ends a test early, and visibly, when there is no server.
#[macro_export]
macro_rules! server_or_return {
    ($Database:ty) => {
        match <$Database>::create().await {
            Ok(database) => database,
            Err(_) => return,
        }
    };
}

/// A schema of PostgreSQL, dropped at the end.
#[cfg(feature = "postgres")]
pub(crate) struct Postgres {
    server: String,
    schema: String,
}

#[cfg(feature = "postgres")]
impl Postgres {
    pub(crate) const VARIABLE: &str = "JAAS_TEST_POSTGRES_URL";

    pub(crate) async fn create() -> Result<Self, String> {
        let server = url(Self::VARIABLE)?;
        let schema = name();
        execute::<jaas_diesel::postgres::Connection>(&server, &format!("CREATE SCHEMA {schema}")).await;
        Ok(Self { server, schema })
    }

    /// The address with the schema in it.
    pub(crate) fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-c%20search_path%3D{}", self.server, self.schema)
    }

    pub(crate) async fn connect(&self) -> jaas_diesel::postgres::Connection {
        jaas_diesel::postgres::Connection::establish(&self.url()).await.expect("connected")
    }
}

#[cfg(feature = "postgres")]
impl Drop for Postgres {
    fn drop(&mut self) {
        drop_later::<jaas_diesel::postgres::Connection>(
            self.server.clone(),
            format!("DROP SCHEMA {} CASCADE", self.schema),
        );
    }
}

/// A database of MySQL or MariaDB, dropped at the end.
#[cfg(feature = "mysql")]
pub(crate) struct Mysql {
    server: String,
    database: String,
}

#[cfg(feature = "mysql")]
impl Mysql {
    pub(crate) const VARIABLE: &str = "JAAS_TEST_MYSQL_URL";

    pub(crate) async fn create() -> Result<Self, String> {
        let server = url(Self::VARIABLE)?;
        let database = name();
        execute::<jaas_diesel::mysql::Connection>(&server, &format!("CREATE DATABASE {database}")).await;
        Ok(Self { server, database })
    }

    /// The address with the database in it.
    pub(crate) fn url(&self) -> String {
        let (address, query) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let host = address.rsplit_once('/').map_or(address, |(host, _)| host);
        format!("{host}/{}?{query}", self.database)
    }

    pub(crate) async fn connect(&self) -> jaas_diesel::mysql::Connection {
        jaas_diesel::mysql::Connection::establish(&self.url()).await.expect("connected")
    }
}

#[cfg(feature = "mysql")]
impl Drop for Mysql {
    fn drop(&mut self) {
        drop_later::<jaas_diesel::mysql::Connection>(
            self.server.clone(),
            format!("DROP DATABASE {}", self.database),
        );
    }
}

fn name() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("jaas_test_{:016x}", RandomState::new().hash_one(std::process::id()))
}

async fn execute<C: AsyncConnection>(server: &str, sql: &str) {
    let mut connection = C::establish(server).await.expect("the server of the tests accepts connections");
    connection.batch_execute(sql).await.expect(sql);
}

/// Runs in a thread with its own runtime, because the test's runtime may be ending.
fn drop_later<C: AsyncConnection + 'static>(server: String, sql: String) {
    let dropped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            if let Ok(mut connection) = C::establish(&server).await {
                let limit = std::time::Duration::from_secs(5);
                let _ = tokio::time::timeout(limit, connection.batch_execute(&sql)).await;
            }
        });
    });
    let _ = dropped.join();
}
