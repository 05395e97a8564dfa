//! What the query planner believes about the tables.

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::sql_types::Bool;
use diesel::{QueryResult, RunQueryDsl as _, SqliteConnection};

/// Deletes the statistics that an `ANALYZE` of the application has collected about the tables of the inbox. Without them
/// SQLite plans as for large tables, for which the statements are written. Nothing renews them as the tables grow, and
/// statistics of small tables make it read large ones whole.
pub(super) fn forget(connection: &mut SqliteConnection) -> QueryResult<()> {
    const OURS: &str = "tbl LIKE 'jaas!_%' ESCAPE '!'";
    let is_true = |sql_text: String, connection: &mut SqliteConnection| {
        diesel::select(sql::<Bool>(&sql_text)).get_result::<bool>(connection)
    };
    let analyzed = "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1')".to_owned();
    // Looked for first: to delete nothing would need the lock for writing too.
    if is_true(analyzed, connection)?
        && is_true(format!("EXISTS (SELECT 1 FROM sqlite_stat1 WHERE {OURS})"), connection)?
    {
        // The second statement makes this connection forget what it has read of them.
        connection.batch_execute(&format!("DELETE FROM sqlite_stat1 WHERE {OURS}; ANALYZE sqlite_schema"))?;
    }
    Ok(())
}
