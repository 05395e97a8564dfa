//! The settings of sessions, and what the store requires of the server.

use std::time::Duration;

use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::telemetry::target;

use crate::rows::MAX_BYTES;

/// Sets what the statements rely on, independently of the server's defaults: a statement outside a transaction is committed,
/// and a commit begins no other transaction; an empty text is not NULL; all rows are read, changed and kept unique; and error
/// messages are in English, because their text identifies them. The isolation level is set with each transaction.
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

/// Disables the server's timeouts: the store has its own, and a migration has none.
pub(in super::super) async fn lift_limits(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    // Only MariaDB has this setting.
    let _ = connection.batch_execute("SET SESSION max_statement_time = 0").await;
    connection.batch_execute("SET SESSION lock_wait_timeout = DEFAULT").await
}

/// Fails when the sessions of a pool do not have the settings that the statements rely on, or when the server cannot write the
/// statements into its binary log.
pub(in super::super) async fn check_session(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    // Read separately, because `sql_select_limit` limits the rows of the other query.
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
        _ if limit != NO_LIMIT => "sql_select_limit is set, so queries would miss rows".to_owned(),
        Some(mode) => format!("sql_mode contains {mode}, which changes the meaning of texts"),
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
        "change this setting where the pool sets up its connections, or let the store open its own pool";
    Err(Error::QueryBuilderError(format!("the sessions of this pool do not fit: {why}; {remedy}").into()))
}

/// Fails when the server cannot store every event, or would store them in tables that cannot roll back.
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
        let why = "the server runs without InnoDB, the only engine that rolls back; start it with InnoDB";
        return Err(Error::QueryBuilderError(why.into()));
    }
    check_packet(packet)
}

/// A group of events is one packet. A larger event is sent alone, and fails alone if it does not fit.
fn check_packet(bytes: i64) -> QueryResult<()> {
    let needed = MAX_BYTES as i64;
    if bytes >= needed {
        return Ok(());
    }
    let why = format!(
        "the server's max_allowed_packet is {bytes} bytes, and events are stored in packets of up to {needed}; set it to \
         16M, or more if the application accepts larger bodies"
    );
    Err(Error::QueryBuilderError(why.into()))
}

/// Fails when a table has an engine that does not roll back.
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

/// Makes the server stop waiting for locks of rows and tables when the store stops waiting.
pub(in super::super) async fn limit_statements(
    connection: &mut AsyncMysqlConnection,
    timeout: Duration,
) -> QueryResult<()> {
    let seconds = timeout.as_secs().max(1);
    let limits = format!("SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}");
    connection.batch_execute(&limits).await
}

/// Makes the server wait for the lock of a table no longer than this. Its default is a day or a year, and it does not notice
/// that the store has closed the connection. A shorter setting of the server stays.
pub(in super::super) async fn limit_table_locks(
    connection: &mut AsyncMysqlConnection,
    timeout: Duration,
) -> QueryResult<()> {
    let seconds = timeout.as_secs();
    let limit = format!("SET SESSION lock_wait_timeout = LEAST(@@SESSION.lock_wait_timeout, {seconds})");
    connection.batch_execute(&limit).await
}

/// Warns when the server may lose commits.
pub(in super::super) async fn check_durability(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    let variables =
        variables(connection, "'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog'").await?;
    let value_of = |name: &str| variables.iter().find(|set| set.name == name).map_or("", |set| &*set.value);
    let flush = value_of("innodb_flush_log_at_trx_commit");
    if !matches!(flush, "1" | "3") {
        tracing::warn!(
            target: target::STORE,
            innodb_flush_log_at_trx_commit = flush,
            "this server does not flush each commit: acknowledged events may be lost when its machine crashes; set \
             innodb_flush_log_at_trx_commit to 1"
        );
    }
    // With 1, InnoDB relies on the binary log: after a crash it undoes the commits that are not in it.
    if value_of("log_bin") == "ON" && value_of("sync_binlog") != "1" && flush != "3" {
        tracing::warn!(
            target: target::STORE,
            sync_binlog = value_of("sync_binlog"),
            "this server does not flush its binary log with each commit: acknowledged events may be lost when its machine \
             crashes; set sync_binlog to 1"
        );
    }
    Ok(())
}

/// Fails when the server is read-only now, even for a user who may write to a read-only server.
pub(in super::super) async fn check_writable(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    const READ_ONLY: &str =
        "'read_only', 'innodb_read_only', 'tx_read_only', 'transaction_read_only', 'offline_mode'";
    if variables(connection, READ_ONLY).await?.iter().all(|variable| variable.value == "OFF") {
        return Ok(());
    }
    let why = Box::new("the server is read-only".to_owned());
    Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, why))
}

/// The value of `sql_select_limit` that means no limit.
const NO_LIMIT: &str = "18446744073709551615";

/// A setting of a session.
#[derive(diesel::QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

/// These settings, as far as this server has them: MySQL, MariaDB and their versions differ.
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
