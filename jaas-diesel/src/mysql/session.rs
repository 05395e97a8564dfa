//! What the sessions and the server must be like, and what is set on each session.

use std::time::Duration;

use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::telemetry::target;

use crate::rows::MAX_BYTES;

/// Sets what the statements rely on, whatever the server's defaults are: that each is committed unless a transaction was
/// begun, and that a commit begins no other; that an empty text is one; that all rows are read, changed and kept unique; and
/// that errors are in English, because this is how they are told apart. The isolation is set with each transaction.
pub(in super::super) async fn prepare(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    connection
        .batch_execute(
            "SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_safe_updates = 0, unique_checks = 1, sql_big_selects = 1, \
             sql_select_limit = 18446744073709551615, lc_messages = 'en_US', \
             sql_mode = CONCAT_WS(',', REPLACE(REPLACE(@@SESSION.sql_mode, 'EMPTY_STRING_IS_NULL', ''), 'ORACLE', ''), \
             'STRICT_TRANS_TABLES')",
        )
        .await
}

/// Lifts the limits of time on the server: the store has its own, and a migration has none.
pub(in super::super) async fn lift_limits(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    // MySQL does not know this setting of MariaDB's.
    let _ = connection.batch_execute("SET SESSION max_statement_time = 0").await;
    connection.batch_execute("SET SESSION lock_wait_timeout = DEFAULT").await
}

/// Fails when the sessions of a pool are not as the statements need them, or the server refuses to write what they do into its
/// binary log.
pub(in super::super) async fn check_session(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    // Not among the others, which are read from several rows.
    let limit = sql::<Text>("CAST(@@SESSION.sql_select_limit AS CHAR)");
    let limit: String = diesel::select(limit).get_result(connection).await?;
    let names = "'autocommit', 'completion_type', 'sql_mode', 'sql_safe_updates', 'unique_checks', 'log_bin', 'binlog_format'";
    let variables = variables(connection, names).await?;
    let is = |name: &str, value: &str| variables.iter().any(|set| set.name == name && set.value == value);
    let differs =
        |name: &str, value: &str| variables.iter().any(|set| set.name == name && set.value != value);
    if is("log_bin", "ON") && is("binlog_format", "STATEMENT") {
        let why =
            "binlog_format is STATEMENT, with which this server refuses every event; set it to ROW or MIXED";
        return Err(Error::QueryBuilderError(why.into()));
    }
    let sql_mode = variables.iter().find(|set| set.name == "sql_mode").map(|set| set.value.split(','));
    let unfit = ["EMPTY_STRING_IS_NULL", "ORACLE"];
    let unfit =
        unfit.into_iter().find(|unfit| sql_mode.clone().into_iter().flatten().any(|set| set == *unfit));
    let why = match unfit {
        _ if limit != NO_LIMIT => "sql_select_limit is set, so not all rows would be seen".to_owned(),
        Some(mode) => format!("sql_mode has {mode}, with which texts are not what they are"),
        None if differs("autocommit", "ON") => "autocommit is off, so nothing would be committed".to_owned(),
        None if differs("completion_type", "NO_CHAIN") => {
            "completion_type is not NO_CHAIN, so what follows a commit would not be committed".to_owned()
        }
        None if differs("sql_safe_updates", "OFF") => {
            "sql_safe_updates is on, so rows could not be changed".to_owned()
        }
        None if differs("unique_checks", "ON") => {
            "unique_checks is off, so a copy of an event could be stored as another event".to_owned()
        }
        None => return Ok(()),
    };
    let remedy =
        "set this otherwise in the setup of the pool's connections, or let the store open its own pool";
    Err(Error::QueryBuilderError(format!("the sessions of this pool do not fit: {why}; {remedy}").into()))
}

/// Fails when the server cannot hold what is sent, or would keep it in tables that cannot roll back.
pub(in super::super) async fn check_database(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const INNODB: &str = "(SELECT COUNT(*) FROM information_schema.engines \
                          WHERE engine = 'InnoDB' AND support IN ('YES', 'DEFAULT'))";
    let packet = sql::<BigInt>("CAST(@@GLOBAL.max_allowed_packet AS SIGNED)");
    let checked = (packet, sql::<BigInt>(INNODB), sql::<BigInt>("DATABASE() IS NULL"));
    let (packet, innodb, without_a_name): (i64, i64, i64) =
        diesel::select(checked).get_result(connection).await?;
    if without_a_name == 1 {
        let why =
            "the address names no database; write its name after the host, as in mysql://user@host:3306/name";
        return Err(Error::QueryBuilderError(why.into()));
    }
    if innodb == 0 {
        let why = "the server runs without InnoDB, and no other engine rolls back; start it with InnoDB";
        return Err(Error::QueryBuilderError(why.into()));
    }
    check_packet(packet)
}

/// A group of events is one packet. An event that is larger goes alone, and fails alone where it does not fit.
fn check_packet(bytes: i64) -> QueryResult<()> {
    let needed = MAX_BYTES as i64;
    if bytes >= needed {
        return Ok(());
    }
    let why = format!(
        "the server's max_allowed_packet is {bytes} bytes, and events are stored in packets of up to {needed}; set it to \
         16M, or more where larger bodies are let in"
    );
    Err(Error::QueryBuilderError(why.into()))
}

/// Fails when a table is of an engine that does not roll back.
pub(in super::super) async fn check_tables(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const OTHERS: &str = "(SELECT GROUP_CONCAT(CONCAT(table_name, ' (', engine, ')') SEPARATOR ', ') \
                          FROM information_schema.tables WHERE table_schema = DATABASE() \
                          AND table_name LIKE 'jaas\\_%' AND engine <> 'InnoDB')";
    let others: Option<String> = diesel::select(sql::<Nullable<Text>>(OTHERS)).get_result(connection).await?;
    let Some(others) = others else { return Ok(()) };
    let why = format!(
        "these tables are not InnoDB, and nothing could be rolled back in them: {others}; change each with ALTER TABLE … \
         ENGINE = InnoDB"
    );
    Err(Error::QueryBuilderError(why.into()))
}

/// Has the server stop waiting when the store does, where it can: for locks of rows and of tables.
pub(in super::super) async fn limit_statements(
    connection: &mut AsyncMysqlConnection,
    timeout: Duration,
) -> QueryResult<()> {
    let seconds = timeout.as_secs().max(1);
    let limits = format!("SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}");
    connection.batch_execute(&limits).await
}

/// Has the server wait for the lock of a table no longer than this. Its default is a day, or a year, and it does not notice
/// that the store has left the connection. A shorter setting of the server's stays.
pub(in super::super) async fn limit_table_locks(
    connection: &mut AsyncMysqlConnection,
    timeout: Duration,
) -> QueryResult<()> {
    let seconds = timeout.as_secs();
    let limit = format!("SET SESSION lock_wait_timeout = LEAST(@@SESSION.lock_wait_timeout, {seconds})");
    connection.batch_execute(&limit).await
}

/// Warns when the server may lose what it has committed.
pub(in super::super) async fn check_durability(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    let variables =
        variables(connection, "'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog'").await?;
    let value_of = |name: &str| variables.iter().find(|set| set.name == name).map_or("", |set| &*set.value);
    let flush = value_of("innodb_flush_log_at_trx_commit");
    if !matches!(flush, "1" | "3") {
        tracing::warn!(
            target: target::STORE,
            innodb_flush_log_at_trx_commit = flush,
            "this server does not flush each commit: what was acknowledged may be lost when its machine crashes; set \
             innodb_flush_log_at_trx_commit to 1"
        );
    }
    // Where 1 is set, InnoDB leaves that to the binary log, and undoes after a crash what is not there.
    if value_of("log_bin") == "ON" && value_of("sync_binlog") != "1" && flush != "3" {
        tracing::warn!(
            target: target::STORE,
            sync_binlog = value_of("sync_binlog"),
            "this server does not flush its binary log with each commit: what was acknowledged may be lost when its machine \
             crashes; set sync_binlog to 1"
        );
    }
    Ok(())
}

/// Fails when the server can only be read now. Says so also to a user who may write in spite of it.
pub(in super::super) async fn check_writable(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const READ_ONLY: &str =
        "'read_only', 'innodb_read_only', 'tx_read_only', 'transaction_read_only', 'offline_mode'";
    if variables(connection, READ_ONLY).await?.iter().all(|variable| variable.value == "OFF") {
        return Ok(());
    }
    let why = Box::new("the server can only be read".to_owned());
    Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, why))
}

/// What `sql_select_limit` is where it is not set.
const NO_LIMIT: &str = "18446744073709551615";

/// A setting of a session.
#[derive(diesel::QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

/// Those of these settings that this server has: MySQL, MariaDB and their versions differ.
async fn variables(connection: &mut AsyncMysqlConnection, names: &str) -> QueryResult<Vec<Variable>> {
    let show = format!("SHOW SESSION VARIABLES WHERE Variable_name IN ({names})");
    diesel::sql_query(show).load(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_must_hold_a_group() {
        for fits in [4 << 20, 16 << 20, 1 << 30] {
            check_packet(fits).expect("large enough");
        }
        for small in [1024, 1 << 20, (4 << 20) - 1024] {
            let error = check_packet(small).expect_err("too small").to_string();
            assert!(error.contains("max_allowed_packet") && error.contains("16M"), "{error}");
        }
    }
}
