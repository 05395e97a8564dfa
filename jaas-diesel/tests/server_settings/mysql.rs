//! The settings that are tried on MariaDB or MySQL.

use diesel::sql_types::Text;
use diesel_async::AsyncConnection as _;
use jaas_diesel::mysql::Connection;

use crate::exercise::{With, exercise};
use crate::own_servers::{Kind, OwnServer};
use crate::page::{Line, page_of};
use crate::servers::Mysql;
use crate::{Row, row};

/// Without a binary log.
const ROWS: &[Row] = &[
    row(
        &["innodb_flush_log_at_trx_commit = 0"],
        "a commit is not on disk when it is acknowledged, and only the server can change that",
    ),
    row(&["innodb_flush_log_at_trx_commit = 2"], "the same"),
    row(&["autocommit = 0"], "each connection of the store turns it on"),
    row(&["completion_type = 'CHAIN'"], "each connection of the store turns it off"),
    row(&["completion_type = 'RELEASE'"], "the same"),
    row(&["sql_mode = 'EMPTY_STRING_IS_NULL'"], "each connection of the store turns it off"),
    row(&["sql_mode = 'ORACLE'"], "the same"),
    row(&["sql_mode = ''"], "each connection of the store turns `STRICT_TRANS_TABLES` on"),
    row(
        &[
            "sql_mode = 'ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION'",
        ],
        "values are not written into statements",
    ),
    row(
        &["tx_isolation = 'SERIALIZABLE'", "innodb_snapshot_isolation = 1"],
        "the store's transactions say that they are `READ COMMITTED`",
    ),
    row(&["tx_read_only = 1"], "the store also leaves a server that becomes one later"),
    row(&["read_only = 1"], "the same; users with the right `READ ONLY ADMIN` or `SUPER` write nevertheless"),
    row(&["sql_select_limit = 1"], "each connection of the store lifts it"),
    row(
        &["sql_safe_updates = 1", "unique_checks = 0", "sql_auto_is_null = 1", "max_join_size = 10"],
        "each connection of the store sets the first two, and `sql_big_selects`; the third concerns no statement",
    ),
    row(
        &["auto_increment_increment = 3", "auto_increment_offset = 2"],
        "as on a cluster; ids need not be consecutive",
    ),
    row(
        &["time_zone = '+05:30'", "lc_messages = 'de_DE'"],
        "times are numbers; each connection of the store asks for errors in English",
    ),
    row(&["character_set_server = 'latin1'"], "tables and connections have their own: `utf8mb4`"),
    row(&["collation_server = 'utf8mb4_turkish_ci'"], "tables have their own"),
    Row {
        settings: &["max_statement_time = 0.2", "lock_wait_timeout = 1", "innodb_lock_wait_timeout = 1"],
        with: With::SlowMigration,
        why: "the first is lifted for migrations and for the connections that accept, claim and complete; they hold for handlers \
              and for what uses the pool",
    },
    Row {
        settings: &["wait_timeout = 1", "idle_transaction_timeout = 1"],
        with: With::Idle,
        why: "connections that were closed are opened again",
    },
    row(&["max_allowed_packet = 1048576"], "the events of one commit are one packet, of up to 4 MiB"),
    row(
        &["default_storage_engine = 'MyISAM'", "innodb_default_row_format = 'redundant'"],
        "each table says that it is InnoDB's, and no key is too long",
    ),
    row(&["enforce_storage_engine = 'Aria'"], "the tables must be InnoDB's, which has transactions"),
    row(
        &["query_cache_type = 1", "query_cache_size = 1048576", "big_tables = 1", "group_concat_max_len = 4"],
        "concern no statement, or only its speed",
    ),
    row(
        &["require_secure_transport = 1"],
        "give `require_ssl=true` in the address, and see [TLS](../../jaas-diesel/README.md#mysql-and-mariadb)",
    ),
];

/// With a binary log, and with other settings that need a restart.
const LOGGED: &[&str] = &["log-bin", "lower-case-table-names=1", "skip-character-set-client-handshake"];

const ROWS_LOGGED: &[Row] = &[
    row(
        &["log_bin = ON", "sync_binlog = 0"],
        "after a crash the server rolls back what its binary log does not have; 0 is MariaDB's default",
    ),
    row(
        &["log_bin = ON", "sync_binlog = 0", "innodb_flush_log_at_trx_commit = 3"],
        "InnoDB flushes each commit by itself, and the binary log may lack some of them",
    ),
    row(
        &[
            "log_bin = ON",
            "sync_binlog = 1",
            "binlog_format = 'MIXED'",
            "lower_case_table_names = 1",
            "character_set_client_handshake = 0",
        ],
        "the connections say which character set they use",
    ),
    row(
        &["log_bin = ON", "sync_binlog = 1", "binlog_format = 'STATEMENT'"],
        "the store's transactions are `READ COMMITTED`, which is not logged as statements",
    ),
];

/// The settings that a server must be started with.
const STATIC: [&str; 3] = ["log_bin", "lower_case_table_names", "character_set_client_handshake"];

const CREATE_USER: &str =
    "CREATE USER app@'%'; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON *.* TO app@'%'";

#[derive(diesel::QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[tokio::test]
async fn page_of_settings_of_mariadb() {
    let (plain, logged) =
        tokio::join!(OwnServer::start(Kind::Mysql, &[]), OwnServer::start(Kind::Mysql, LOGGED));
    let (Some(plain), Some(mut logged)) = (plain, logged) else { return };
    let mut lines = try_all(&plain, ROWS).await;
    lines.extend(try_all(&logged, ROWS_LOGGED).await);
    logged.shut_down();
    logged.start_again(&["innodb-read-only"]).await;
    let address = address(&logged, ROWS_LOGGED.len() - 1);
    lines.push(Line {
        settings: &["innodb_read_only = 1"],
        seen: Some(exercise::<Mysql>(&address, With::Nothing).await),
        why: "the store also leaves a server that becomes one later",
    });
    page_of("mysql", &version(&plain).await, &lines);
}

async fn try_all(server: &OwnServer, rows: &[Row]) -> Vec<Line> {
    server.execute(CREATE_USER).await;
    let mut lines = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let names = row.settings.iter().filter_map(|setting| setting.split_once(" = "));
        let dynamic: Vec<_> = names.filter(|(name, _)| !STATIC.contains(name)).collect();
        let mut is_known = true;
        for (name, value) in &dynamic {
            is_known &= server.try_execute(&format!("SET GLOBAL {name} = {value}")).await.is_ok();
        }
        // Its character set is the server's.
        server.execute(&format!("SET SESSION TRANSACTION READ WRITE; CREATE DATABASE app{number}")).await;
        let seen =
            if is_known { Some(exercise::<Mysql>(&address(server, number), row.with).await) } else { None };
        for (name, _) in &dynamic {
            let _ = server.try_execute(&format!("SET GLOBAL {name} = DEFAULT")).await;
        }
        lines.push(Line { settings: row.settings, seen, why: row.why });
    }
    lines
}

/// The address of a user without the right to change global settings.
fn address(server: &OwnServer, number: usize) -> String {
    server.address().replacen("root@", "app@", 1) + &number.to_string()
}

async fn version(server: &OwnServer) -> String {
    use diesel_async::RunQueryDsl as _;
    const VERSION: &str = "SELECT CONCAT(IF(VERSION() LIKE '%MariaDB%', 'MariaDB ', 'MySQL '), SUBSTRING_INDEX(VERSION(), '.', 2)) AS version";
    let mut connection = Connection::establish(&server.address()).await.expect("connected");
    let version = diesel::sql_query(VERSION).get_result::<Version>(&mut connection).await;
    version.expect("it has one").version
}
