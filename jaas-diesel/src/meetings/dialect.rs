//! How each backend says that a row may be there already, and which sittings a room had.

/// Words of a backend.
pub(crate) trait Dialect {
    /// How an insert begins that does nothing when the row is there.
    const INSERT_NEW: &'static str;
    /// How it ends.
    const UNLESS_KNOWN: &'static str;

    /// That a column has a value and a time lies between two, for the index of both columns: what stands around the value, the
    /// earliest time, the value again and the latest time.
    fn between(column: &str, time: &str) -> [String; 5] {
        [
            format!("({column} = "),
            format!(" AND {time} >= "),
            format!(" AND {column} = "),
            format!(" AND {time} <= "),
            ")".to_owned(),
        ]
    }

    /// What the order of such rows begins with, so that it is the order of the index.
    fn order_of(column: &str) -> String {
        column.to_owned()
    }

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
    /// Compared as rows: with an equality and old statistics the planner would take the rows for few, read them all, and sort
    /// them.
    fn between(column: &str, time: &str) -> [String; 5] {
        [
            format!("(({column}, {time}) >= ("),
            ", ".to_owned(),
            format!(") AND ({column}, {time}) <= ("),
            ", ".to_owned(),
            "))".to_owned(),
        ]
    }
);

#[cfg(feature = "mysql")]
impl Dialect for diesel::mysql::Mysql {
    /// MariaDB sorts all of the rows when the order begins with the column.
    fn order_of(_: &str) -> String {
        "NULL".to_owned()
    }

    const INSERT_NEW: &'static str = "INSERT IGNORE";
    const UNLESS_KNOWN: &'static str = "";

    fn if_known(_: &str) -> String {
        " ON DUPLICATE KEY UPDATE".to_owned()
    }

    fn given(column: &str) -> String {
        format!("VALUES({column})")
    }
}
