//! What the tables of meetings hold, as lines.

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl as _;

#[derive(diesel::QueryableByName, Debug, PartialEq)]
pub(crate) struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The tables, and their columns but for when an end is announced, which depends on the clock.
pub(crate) const TABLES: [(&str, &str); 11] = [
    ("jaas_sittings", "tenant room first_at opened_at last_opened_at last_closed_at ended_at"),
    ("jaas_edges", "event_key happened_at what place presence via reason user_id name"),
    (
        "jaas_stays",
        "presence place joined_at left_at estimated reason tenant room via user_id participant_id jid name",
    ),
    ("jaas_marks", "event_key happened_at kind"),
    ("jaas_devices", "event_key happened_at device tenant month"),
    ("jaas_talk", "event_key happened_at jid user_id talked_ms"),
    ("jaas_polls", "event_key happened_at poll_id user_id participant_id question options"),
    ("jaas_poll_answers", "event_key happened_at poll_id voter user_id ticked"),
    ("jaas_reactions", "event_key happened_at user_id reaction amount aggregated"),
    ("jaas_feedback", "event_key happened_at user_id stars comments"),
    ("jaas_phrases", "event_key happened_at message_id participant_id user_id name language said"),
];

/// Everything the tables hold: each line begins with the table and the session.
pub(crate) async fn dump<C>(connection: &mut C) -> Vec<String>
where
    C: diesel_async::AsyncConnection,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, C, Line>,
{
    let mut lines = Vec::new();
    for (table, names) in TABLES {
        let columns = std::iter::once("session_id").chain(names.split(' '));
        let columns = columns.map(|column| format!("COALESCE(CAST({column} AS CHAR(300)), '-')"));
        let sql = format!(
            "SELECT CONCAT('{table} ', {}) AS line FROM {table}",
            columns.collect::<Vec<_>>().join(", ' ', ")
        );
        let rows: Vec<Line> = diesel::sql_query(sql).load(connection).await.expect("read");
        lines.extend(rows.into_iter().map(|row| row.line));
    }
    lines.sort();
    lines
}

/// The tables with a row of this session.
pub(crate) fn tables_of(lines: &[String], session: &str) -> usize {
    let of_session = |table: &str| lines.iter().any(|line| line.starts_with(&format!("{table} {session} ")));
    TABLES.iter().filter(|(table, _)| of_session(table)).count()
}
