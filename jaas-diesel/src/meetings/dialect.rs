//! How each backend says that a row may be there already.

/// Words of a backend.
pub(crate) trait Dialect {
    /// How an insert begins that does nothing when the row is there.
    const INSERT_NEW: &'static str;
    /// How it ends.
    const UNLESS_KNOWN: &'static str;

    /// What stands between an insert and its assignments for a row with the same values in these columns.
    fn if_known(columns: &str) -> String;

    /// The value that was to be inserted in this column.
    fn given(column: &str) -> String;
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! on_conflict {
    ($Backend:ty) => {
        impl Dialect for $Backend {
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
on_conflict!(diesel::pg::Pg);

#[cfg(feature = "mysql")]
impl Dialect for diesel::mysql::Mysql {
    const INSERT_NEW: &'static str = "INSERT IGNORE";
    const UNLESS_KNOWN: &'static str = "";

    fn if_known(_: &str) -> String {
        " ON DUPLICATE KEY UPDATE".to_owned()
    }

    fn given(column: &str) -> String {
        format!("VALUES({column})")
    }
}
