//! New databases, and how they are filled.

use std::time::Instant;

use diesel_async::{AsyncConnection, SimpleAsyncConnection as _};

use crate::fill::Filled;

/// What differs between the databases in the statements that fill them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

impl Dialect {
    /// The statement that fills a table with the numbers from 1 on.
    pub(crate) fn numbers(self, table: &str, most: i64) -> String {
        match self {
            Self::Sqlite => format!(
                "INSERT INTO {table} WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {most}) \
                 SELECT n FROM i"
            ),
            Self::Postgres => {
                format!("INSERT INTO {table} SELECT n FROM generate_series(1, {most}) AS i (n)")
            }
            Self::Mysql => format!("INSERT INTO {table} SELECT seq FROM seq_1_to_{most}"),
        }
    }

    /// A text as a value of a column of bytes.
    pub(crate) fn bytes(self, text: &str) -> String {
        if self == Self::Postgres { format!("convert_to({text}, 'UTF8')") } else { text.to_owned() }
    }

    /// A hash that differs from number to number.
    pub(crate) fn hash(self, number: &str) -> String {
        self.bytes(&format!("concat('hash of ', {number})"))
    }

    fn analyze(self, tables: &[&str]) -> String {
        match self {
            Self::Sqlite => "ANALYZE".to_owned(),
            Self::Postgres => {
                tables.iter().map(|table| format!("VACUUM ANALYZE {table}")).collect::<Vec<_>>().join(";")
            }
            Self::Mysql => format!("ANALYZE TABLE {}", tables.join(", ")),
        }
    }
}

/// Fills an empty database, and makes its statistics fresh.
pub(crate) async fn fill<C: AsyncConnection>(url: &str, dialect: Dialect, filled: &Filled) {
    let began = Instant::now();
    let mut connection = C::establish(url).await.unwrap();
    for statement in filled.statements(dialect) {
        let result = connection.batch_execute(&statement).await;
        result.unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
    // Each on its own: PostgreSQL makes one transaction of several, in which it does not vacuum.
    for statement in dialect.analyze(crate::fill::TABLES).split(';') {
        connection.batch_execute(statement).await.unwrap();
    }
    println!("  filled in {:.0} s", began.elapsed().as_secs_f64());
}

/// A kind of server.
pub(crate) struct Kind {
    /// The environment variable that has its address.
    pub(crate) variable: &'static str,
    is_postgres: bool,
}

pub(crate) const POSTGRES: Kind = Kind { variable: "JAAS_TEST_POSTGRES_URL", is_postgres: true };
pub(crate) const MYSQL: Kind = Kind { variable: "JAAS_TEST_MYSQL_URL", is_postgres: false };

/// A new database, or a schema of PostgreSQL.
pub(crate) struct Server {
    kind: &'static Kind,
    address: String,
    name: String,
    url: String,
}

impl Server {
    /// Creates it; `None` without an address.
    pub(crate) async fn create(kind: &'static Kind) -> Option<Self> {
        let address = std::env::var(kind.variable).ok()?;
        let name = format!("jaas_bench_console_{}", std::process::id());
        let (plain, query) = address.split_once('?').unwrap_or((&address, ""));
        let url = if kind.is_postgres {
            let separator = if query.is_empty() { "?" } else { "&" };
            format!("{address}{separator}options=-c%20search_path%3D{name}")
        } else {
            let host = plain.rsplit_once('/').map_or(plain, |(host, _)| host);
            format!("{host}/{name}?{query}")
        };
        let server = Self { kind, address, name, url };
        server.execute("CREATE", "").await;
        Some(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Drops it.
    pub(crate) async fn remove(self) {
        self.execute("DROP", if self.kind.is_postgres { " CASCADE" } else { "" }).await;
    }

    async fn execute(&self, verb: &str, rest: &str) {
        let Self { address, name, .. } = self;
        if self.kind.is_postgres {
            let mut connection = jaas_diesel::postgres::Connection::establish(address).await.unwrap();
            connection.batch_execute(&format!("{verb} SCHEMA {name}{rest}")).await.unwrap();
        } else {
            let mut connection = jaas_diesel::mysql::Connection::establish(address).await.unwrap();
            connection.batch_execute(&format!("{verb} DATABASE {name}")).await.unwrap();
        }
    }
}
