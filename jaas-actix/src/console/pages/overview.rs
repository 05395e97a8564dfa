//! How the inbox does: counts, ages, and what failed most.

use std::cmp::Reverse;

use askama::Template;
use jaas_core::store::{DeadLetterGroup, EventState, StoreStats};

use super::dead::GroupRow;
use crate::console::failure::Failure;
use crate::console::show::{At, count};
use crate::console::visit::{Frame, Shown, Visit};

/// How many groups of dead letters it lists.
const WORST: usize = 5;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview {
    frame: Frame,
    states: Vec<StateRow>,
    oldest_waiting: Option<At>,
    dead: u64,
    conflicts: String,
    quarantined: String,
    worst: Vec<GroupRow>,
    is_empty: bool,
}

struct StateRow {
    state: &'static str,
    meaning: &'static str,
    count: String,
    oldest: Option<At>,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let (stats, groups) =
        futures_util::future::try_join(visit.desk.store.stats(), visit.desk.store.dead_letters()).await?;
    Shown::page(&overview(&visit, &stats, groups))
}

fn overview(visit: &Visit, stats: &StoreStats, mut groups: Vec<DeadLetterGroup>) -> Overview {
    let row = |state: EventState| {
        let known = stats.state(state);
        let oldest = known.oldest.map(|at| visit.at(at));
        StateRow { state: state.as_str(), meaning: meaning(state), count: count(known.count), oldest }
    };
    groups.sort_by_key(|group| Reverse(group.count));
    Overview {
        frame: visit.frame("Overview"),
        states: EventState::ALL.into_iter().map(row).collect(),
        oldest_waiting: stats.state(EventState::Waiting).oldest.map(|at| visit.at(at)),
        dead: stats.count(EventState::Dead),
        conflicts: count(stats.conflicts),
        quarantined: count(stats.quarantined),
        worst: groups.iter().take(WORST).map(|group| GroupRow::new(visit, group)).collect(),
        is_empty: EventState::ALL.into_iter().all(|state| stats.count(state) == 0),
    }
}

fn meaning(state: EventState) -> &'static str {
    match state {
        EventState::Waiting => "waits to be run, now or after a back-off",
        EventState::Running => "is being run",
        EventState::Done => "was handled",
        EventState::Ignored => "every handler ignored it",
        EventState::Dead => "gave up; kept to be replayed",
        EventState::Discarded => "was discarded by an operator",
        _ => "",
    }
}
