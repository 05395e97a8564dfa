//! `jaas inbox stats`.

use std::time::Duration;

use clap::Args;
use jaas_core::store::{Activity, EventAdmin, EventState};
use jaas_core::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, Table};

/// Counts the events by state, and shows what happened in the last hour
#[derive(Debug, Args)]
#[command(after_help = "\
The activity is there while an application with a `Monitor` runs, which records it once a minute.")]
pub(super) struct Stats {}

impl Stats {
    pub(super) async fn run<S: EventAdmin>(&self, store: &S, output: &Output) -> Result<(), Failure> {
        let now = SystemClock.now();
        let stats = store.stats().await?;
        let hour = store.activity(now.saturating_sub(Duration::from_secs(60 * 60)), now).await?;
        let states: serde_json::Map<String, Value> = EventState::ALL
            .iter()
            .map(|state| {
                let of_state = stats.state(*state);
                (state.to_string(), json!({"count": of_state.count, "oldest": of_state.oldest}))
            })
            .collect();
        let json = json!({
            "states": states,
            "conflicts": stats.conflicts,
            "quarantined": stats.quarantined,
            "activity": hour,
        });
        output.result(&json, || {
            let mut table = Table::new(["STATE", "EVENTS", "OLDEST RECEIVED"]);
            let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            for state in EventState::ALL {
                let of_state = stats.state(state);
                table.row([state.to_string(), of_state.count.to_string(), at(of_state.oldest)]);
            }
            table.row(["conflicts".into(), stats.conflicts.to_string(), String::new()]);
            table.row(["quarantine".into(), stats.quarantined.to_string(), String::new()]);
            table.text() + &last_hour(&hour)
        })
    }
}

fn last_hour(rows: &[Activity]) -> String {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return "nothing was recorded in the last hour: is a Monitor running?\n".into();
    };
    let sum = |of: fn(&Activity) -> u64| rows.iter().map(of).sum::<u64>();
    format!(
        "from {} to {}: {} accepted, {} settled, {} failed, {} dead letters\n",
        first.from,
        last.until,
        sum(|row| row.accepted),
        sum(|row| row.settled),
        sum(|row| row.failed),
        sum(|row| row.dead),
    )
}
