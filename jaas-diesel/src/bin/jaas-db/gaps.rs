//! `jaas gaps`: what should have come and did not.

use clap::Args;
use jaas_core::store::{PageRequest, RowId};
use jaas_core::watch::{GapQuery, GapState, GapStore, Rule};
use jaas_core::{Fqn, SessionId};
use serde_json::json;

use crate::database::{Database, with_store};
use crate::failure::Failure;
use crate::output::{Output, Table, more, short};
use crate::values;

/// Lists what the watch found missing, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas gaps
  jaas gaps --rule recording_not_uploaded --state closed
  jaas gaps --counts
  jaas gaps --after 4711        the next page, after row 4711")]
pub(crate) struct Gaps {
    /// Gaps in this state: open or closed
    #[arg(long, value_name = "STATE", default_value = "open", value_parser = values::gap_state)]
    state: GapState,

    /// Gaps that this rule found, such as recording_not_uploaded
    #[arg(long, value_name = "RULE", value_parser = values::rule)]
    rule: Option<Rule>,

    /// Gaps in this meeting, spelled as in the event: `<app id>/<room>`
    #[arg(long, value_name = "FQN")]
    room: Option<String>,

    /// Gaps in this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// How many, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Continues after this row
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,

    /// Shows how many gaps each rule has open, instead of the gaps
    #[arg(long, conflicts_with_all = ["rule", "room", "session", "after"])]
    counts: bool,
}

impl Gaps {
    pub(crate) async fn run(&self, database: &Database, output: &Output) -> Result<(), Failure> {
        with_store!(database, store => self.on(&store, output))
    }

    async fn on<S: GapStore>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        if self.counts { counts(store, output).await } else { self.list(store, output).await }
    }

    async fn list<S: GapStore>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let mut query = GapQuery {
            state: Some(self.state),
            rule: self.rule,
            session_id: self.session.clone().map(SessionId::new),
            room: self.room.clone().map(Fqn::new),
            ..GapQuery::default()
        };
        query.page = PageRequest { after: self.after.map(RowId::new), limit: self.limit, newest_first: true };
        let page = store.gaps(&query).await?;
        output.result(&json!({"gaps": page.items, "next": page.next}), || {
            if page.items.is_empty() {
                return format!("there are no {} gaps\n", self.state);
            }
            let mut table =
                Table::new(["ROW", "RULE", "SEVERITY", "SEEN", "DUE", "SESSION", "ROOM", "SUBJECT"]);
            for record in &page.items {
                let gap = &record.gap;
                table.row([
                    record.id.to_string(),
                    gap.rule.to_string(),
                    gap.severity.to_string(),
                    gap.seen_at.to_string(),
                    gap.due_at.to_string(),
                    short(gap.session_id.as_str(), 40),
                    short(gap.fqn.as_str(), 60),
                    short(&gap.subject, 40),
                ]);
            }
            table.text() + &more(page.next)
        })
    }
}

async fn counts<S: GapStore>(store: &S, output: &Output) -> Result<(), Failure> {
    let counts = store.gap_counts().await?;
    output.result(&json!({"counts": counts}), || {
        let mut table = Table::new(["RULE", "SEVERITY", "OPEN"]);
        for count in &counts {
            table.row([count.rule.to_string(), count.severity.to_string(), count.open.to_string()]);
        }
        table.text()
    })
}
