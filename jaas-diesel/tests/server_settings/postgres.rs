//! The settings that are tried on PostgreSQL.

use diesel::sql_types::Text;
use diesel_async::AsyncConnection as _;
use jaas_diesel::postgres::Connection;

use crate::exercise::{Seen, With, exercise};
use crate::own_servers::{Kind, OwnServer};
use crate::page::{Line, page_of};
use crate::servers::Postgres;
use crate::{Row, row};

const ROWS: &[Row] = &[
    row(
        &["synchronous_commit = off"],
        "the connections that accept and complete turn it on; a stricter one, such as `remote_apply`, stays",
    ),
    row(
        &["default_transaction_isolation = serializable", "default_transaction_deferrable = on"],
        "the store's transactions say that they are `READ COMMITTED`",
    ),
    row(
        &["default_transaction_read_only = on"],
        "the server is a standby, or its operator wants nothing to be written; the store also leaves a server that becomes one later",
    ),
    row(
        &[
            "standard_conforming_strings = off",
            "backslash_quote = off",
            "array_nulls = off",
            "transform_null_equals = on",
            "quote_all_identifiers = on",
        ],
        "values are not written into statements",
    ),
    row(
        &[
            "TimeZone = 'Asia/Kolkata'",
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = sql_standard",
            "bytea_output = escape",
            "client_encoding = LATIN1",
            "extra_float_digits = -15",
            "xmloption = document",
        ],
        "values are sent in binary, texts in UTF-8, and times as numbers",
    ),
    row(
        &[
            "enable_seqscan = off",
            "enable_indexscan = off",
            "enable_bitmapscan = off",
            "enable_nestloop = off",
            "enable_hashjoin = off",
            "enable_mergejoin = off",
            "enable_sort = off",
        ],
        "where a plan matters, the store sets them for its transactions",
    ),
    row(&["plan_cache_mode = force_custom_plan", "jit = on", "jit_above_cost = 0"], "the same"),
    row(
        &[
            "work_mem = '64kB'",
            "temp_file_limit = 0",
            "session_replication_role = replica",
            "row_security = off",
        ],
        "nothing of the store needs much memory, triggers or foreign keys",
    ),
    Row {
        settings: &["statement_timeout = '200ms'", "lock_timeout = '200ms'"],
        with: With::SlowMigration,
        why: "lifted for migrations and for the connections that accept, claim and complete, which have the store's `timeout`; \
              they hold for handlers and for what uses the pool",
    },
    Row {
        settings: &["idle_session_timeout = '300ms'", "idle_in_transaction_session_timeout = '300ms'"],
        with: With::Idle,
        why: "the first is lifted for the store's own connections, and the pool notices what was closed; the second is 60 s in \
              the store's pool",
    },
    row(
        &["search_path = ''"],
        "the tables are in the schema that the connection has chosen, and there is none",
    ),
];

#[derive(diesel::QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[tokio::test]
async fn page_of_settings_of_postgres() {
    let Some(server) = OwnServer::start(Kind::Postgres, &[]).await else { return };
    let mut lines = Vec::new();
    let Seen::Works { warnings: usual } = exercise::<Postgres>(&server.address(), With::Nothing).await else {
        panic!("it does not work without any setting");
    };
    let fsync = "a commit is not on disk when it is acknowledged, and only the server can change that";
    let seen = Some(Seen::Works { warnings: usual.clone() });
    lines.push(Line { settings: &["fsync = off"], seen, why: fsync });
    for (number, row) in ROWS.iter().enumerate() {
        server.execute(&format!("CREATE DATABASE app{number}")).await;
        let mut is_known = true;
        for setting in row.settings {
            is_known &=
                server.try_execute(&format!("ALTER DATABASE app{number} SET {setting}")).await.is_ok();
        }
        let seen = if is_known {
            let address = format!("{}{number}", server.address());
            Some(exercise::<Postgres>(&address, row.with).await.without(&usual))
        } else {
            None
        };
        lines.push(Line { settings: row.settings, seen, why: row.why });
    }
    page_of("postgres", &version(&server).await, &lines);
}

async fn version(server: &OwnServer) -> String {
    use diesel_async::RunQueryDsl as _;
    const VERSION: &str =
        "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), '.', 1) AS version";
    let mut connection = Connection::establish(&server.address()).await.expect("connected");
    let version = diesel::sql_query(VERSION).get_result::<Version>(&mut connection).await;
    version.expect("it has one").version
}
