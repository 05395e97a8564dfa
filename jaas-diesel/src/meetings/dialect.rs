//! How each backend says that a row may be there already, and which sittings a room had.

/// Words of a backend.
pub(crate) trait Dialect {
    /// How an insert begins that does nothing when the row is there.
    const INSERT_NEW: &'static str;
    /// How it ends.
    const UNLESS_KNOWN: &'static str;

    /// What stands around the room, the earliest time, the room again and the latest time of its sittings.
    const SITTINGS_OF_ROOM: [&'static str; 5] = [
        "(jaas_sittings.room = ",
        " AND jaas_sittings.first_at >= ",
        " AND jaas_sittings.room = ",
        " AND jaas_sittings.first_at <= ",
        ")",
    ];

    /// What their order begins with, so that it is the order of the index.
    const ORDER_OF_ROOM: &'static str = "jaas_sittings.room";

    /// What stands between an insert and its assignments for a row with the same values in these columns.
    fn if_known(columns: &str) -> String;

    /// The value that was to be inserted in this column.
    fn given(column: &str) -> String;
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! on_conflict {
    ($Backend:ty $(, $more:item)?) => {
        impl Dialect for $Backend {
            $($more)?

            const INSERT_NEW: &'static str = "INSERT";
            const UNLESS_KNOWN: &'static str = " ON CONFLICT DO NOTHING";

            fn if_known(columns: &str) -> String {
                format!(" ON CONFLICT ({columns}) DO UPDATE SET")
            }

            fn given(column: &str) -> String {
                format!("excluded.{column}")
            }
        }
    };
}

#[cfg(feature = "sqlite")]
on_conflict!(diesel::sqlite::Sqlite);
#[cfg(feature = "postgres")]
on_conflict!(
    diesel::pg::Pg,
    /// Compared as rows: with an equality and old statistics the planner would take a room's sittings for few, read them all,
    /// and sort them.
    const SITTINGS_OF_ROOM: [&'static str; 5] = [
        "((jaas_sittings.room, jaas_sittings.first_at) >= (",
        ", ",
        ") AND (jaas_sittings.room, jaas_sittings.first_at) <= (",
        ", ",
        "))",
    ];
);

#[cfg(feature = "mysql")]
impl Dialect for diesel::mysql::Mysql {
    /// MariaDB sorts all sittings of the room when the order begins with it.
    const ORDER_OF_ROOM: &'static str = "NULL";
    const INSERT_NEW: &'static str = "INSERT IGNORE";
    const UNLESS_KNOWN: &'static str = "";

    fn if_known(_: &str) -> String {
        " ON DUPLICATE KEY UPDATE".to_owned()
    }

    fn given(column: &str) -> String {
        format!("VALUES({column})")
    }
}
