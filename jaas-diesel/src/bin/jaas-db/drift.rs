//! `jaas drift`: what this version does not know.

use clap::Args;
use jaas_core::drift::{DriftRecord, DriftStore};
use jaas_core::store::{PageRequest, RowId};
use serde_json::{Value, json};

use crate::database::{Database, with_store};
use crate::failure::Failure;
use crate::output::{Output, Table, more, short};

/// Lists event types, fields, JSON types and words that this version does not know, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas drift
  jaas drift --fixture 12 > fixtures/HAND_RAISED.json
  jaas drift --after 4711        the next page, after row 4711")]
pub(crate) struct Drift {
    /// How many, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Continues after this row
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,

    /// Prints the event that showed this row first, without its values: a fixture for the testkit
    #[arg(long, value_name = "ROW", conflicts_with = "after")]
    fixture: Option<i64>,
}

impl Drift {
    pub(crate) async fn run(&self, database: &Database, output: &Output) -> Result<(), Failure> {
        with_store!(database, store => self.on(&store, output))
    }

    async fn on<S: DriftStore>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        match self.fixture {
            Some(row) => fixture(store, row, output).await,
            None => self.list(store, output).await,
        }
    }

    async fn list<S: DriftStore>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let after = self.after.map(RowId::new);
        let page = store.drift_records(PageRequest { after, limit: self.limit, newest_first: true }).await?;
        output.result(&json!({"drift": page.items, "next": page.next}), || {
            if page.items.is_empty() {
                return "nothing unknown was seen\n".into();
            }
            let mut table = Table::new(["ROW", "KIND", "TYPE", "FIELD", "FOUND", "COUNT", "FIRST", "LAST"]);
            for DriftRecord { id, kind, event_type, field, detail, count, first_seen, last_seen, .. } in
                &page.items
            {
                table.row([
                    id.to_string(),
                    kind.to_string(),
                    short(event_type, 40),
                    short(field, 60),
                    short(detail, 40),
                    count.to_string(),
                    first_seen.to_string(),
                    last_seen.to_string(),
                ]);
            }
            table.text() + &more(page.next)
        })
    }
}

async fn fixture<S: DriftStore>(store: &S, row: i64, output: &Output) -> Result<(), Failure> {
    // A page of one row that begins at this row: the store does not look a row up by its number.
    let before =
        PageRequest { after: Some(RowId::new(row.saturating_sub(1))), limit: 1, newest_first: false };
    let page = store.drift_records(before).await?;
    let record = page.items.into_iter().find(|record| record.id.get() == row);
    let record = record.ok_or_else(|| Failure::no(format!("there is no row {row}; see jaas drift")))?;
    let fixture = record
        .fixture
        .ok_or_else(|| Failure::no(format!("row {row} has no fixture: the event could not be redacted")))?;
    let json: Value = serde_json::from_str(&fixture)
        .map_err(|error| Failure::no(format!("the fixture of row {row} is not JSON: {error}")))?;
    output.result(&json, || fixture.trim_end().to_owned() + "\n")
}
