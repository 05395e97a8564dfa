//! How the inbox does: counts, ages, and what failed most.

use std::cmp::Reverse;
use std::time::Duration;

use askama::Template;
use jaas_core::store::{Activity, DeadLetterGroup, EventState, StoreStats};

use super::dead::GroupRow;
use crate::console::chart::{self, Chart, charts};
use crate::console::failure::Failure;
use crate::console::show::{At, count};
use crate::console::visit::{Frame, Shown, Visit};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How many groups of dead letters it lists.
const WORST: usize = 5;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview {
    frame: Frame,
    states: Vec<StateRow>,
    oldest_waiting: Option<At>,
    /// How many dead letters there are, if any.
    dead: Option<String>,
    conflicts: String,
    quarantined: String,
    worst: Vec<GroupRow>,
    charts: Vec<(&'static str, Vec<Chart>)>,
    width: u64,
    height: u64,
    is_empty: bool,
}

struct StateRow {
    state: &'static str,
    meaning: &'static str,
    count: String,
    oldest: Option<At>,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let (store, now) = (&visit.desk.store, visit.now);
    let activity = store.activity(now.saturating_sub(DAY), now);
    let (stats, groups, activity) =
        futures_util::future::try_join3(store.stats(), store.dead_letters(), activity).await?;
    Shown::page(&overview(&visit, &stats, groups, &activity))
}

fn overview(
    visit: &Visit,
    stats: &StoreStats,
    mut groups: Vec<DeadLetterGroup>,
    activity: &[Activity],
) -> Overview {
    let row = |state: EventState| {
        let known = stats.state(state);
        let oldest = known.oldest.map(|at| visit.at(at));
        StateRow { state: state.as_str(), meaning: meaning(state), count: count(known.count), oldest }
    };
    let mut drawn = Vec::new();
    if !activity.is_empty() {
        drawn.push(("The last hour, a bar for each minute", charts(activity, visit.now, HOUR, 60)));
        drawn.push(("The last day, a bar for each half hour", charts(activity, visit.now, DAY, 48)));
    }
    groups.sort_by_key(|group| Reverse(group.count));
    Overview {
        frame: visit.frame("Overview"),
        states: EventState::ALL.into_iter().map(row).collect(),
        oldest_waiting: stats.state(EventState::Waiting).oldest.map(|at| visit.at(at)),
        dead: Some(stats.count(EventState::Dead)).filter(|dead| *dead > 0).map(count),
        conflicts: count(stats.conflicts),
        quarantined: count(stats.quarantined),
        worst: GroupRow::all(visit, &groups).into_iter().take(WORST).collect(),
        charts: drawn,
        width: chart::WIDTH,
        height: chart::HEIGHT,
        is_empty: EventState::ALL.into_iter().all(|state| stats.count(state) == 0),
    }
}

fn meaning(state: EventState) -> &'static str {
    match state {
        EventState::Waiting => "waits to be run, now or after a back-off",
        EventState::Running => "is being run",
        EventState::Done => "was handled",
        EventState::Ignored => "every handler ignored it",
        EventState::Dead => "its attempts are exhausted, or it failed permanently; kept to be replayed",
        EventState::Discarded => "was discarded by an operator",
        _ => "",
    }
}
