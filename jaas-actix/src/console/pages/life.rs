//! The parts of an event's life as lines of tables.

use jaas_core::store::{Attempt, AuditEntry, Conflict, EventLife};

use crate::console::difference::{Difference, differences};
use crate::console::show::{At, bytes, cut};
use crate::console::visit::Visit;

/// How many attempts, entries of the audit, conflicts, and differences of a conflict one page shows.
const ATTEMPTS: usize = 40;
const ENTRIES: usize = 20;
const CONFLICTS: usize = 5;
const DIFFERENCES: usize = 20;

/// What happened to an event, newest first.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) audit: Vec<AuditRow>,
    pub(crate) conflicts: Vec<ConflictRow>,
    /// Whether there is more than the page shows.
    pub(crate) more: bool,
}

#[derive(Debug)]
pub(crate) struct AttemptRow {
    pub(crate) fence: i64,
    pub(crate) outcome: &'static str,
    pub(crate) worker: String,
    pub(crate) ended: At,
    pub(crate) error: String,
}

#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) at: At,
    pub(crate) by: String,
    pub(crate) action: &'static str,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct ConflictRow {
    pub(crate) id: i64,
    pub(crate) first: At,
    pub(crate) last: At,
    pub(crate) seen: u32,
    pub(crate) size: String,
    /// `None` when the bodies cannot be compared.
    pub(crate) differences: Option<Vec<DifferenceRow>>,
    pub(crate) more: bool,
}

#[derive(Debug)]
pub(crate) struct DifferenceRow {
    pub(crate) path: String,
    pub(crate) kind: String,
    /// The values; only in a page that reveals.
    pub(crate) values: Option<(String, String)>,
}

impl Rows {
    pub(crate) fn new(visit: &Visit, life: &EventLife, reveals: bool) -> Self {
        let conflict = |conflict| ConflictRow::new(visit, life, conflict, reveals);
        let is_cut = life.attempts.len() > ATTEMPTS || life.audit.len() > ENTRIES;
        Self {
            attempts: life
                .attempts
                .iter()
                .take(ATTEMPTS)
                .map(|attempt| AttemptRow::new(visit, attempt))
                .collect(),
            audit: life.audit.iter().take(ENTRIES).map(|entry| AuditRow::new(visit, entry)).collect(),
            conflicts: life.conflicts.iter().take(CONFLICTS).map(conflict).collect(),
            more: life.more || is_cut || life.conflicts.len() > CONFLICTS,
        }
    }
}

impl AttemptRow {
    fn new(visit: &Visit, attempt: &Attempt) -> Self {
        Self {
            fence: attempt.fence,
            outcome: attempt.outcome.as_str(),
            worker: cut(attempt.worker.as_deref().unwrap_or_default(), 40),
            ended: visit.at(attempt.ended_at),
            error: cut(attempt.error.as_deref().unwrap_or_default(), 200),
        }
    }
}

impl AuditRow {
    fn new(visit: &Visit, entry: &AuditEntry) -> Self {
        Self {
            at: visit.at(entry.at),
            by: cut(&entry.note.by, 60),
            action: entry.action.as_str(),
            reason: cut(&entry.note.reason, 160),
        }
    }
}

impl ConflictRow {
    fn new(visit: &Visit, life: &EventLife, conflict: &Conflict, reveals: bool) -> Self {
        let compared = differences(&life.event.body, &conflict.body, DIFFERENCES);
        let more = compared.as_ref().is_some_and(|(_, more)| *more);
        let row = |difference: &Difference| DifferenceRow::new(difference, reveals);
        Self {
            id: conflict.id.get(),
            first: visit.at(conflict.first_received_at),
            last: visit.at(conflict.last_received_at),
            seen: conflict.seen,
            size: bytes(conflict.body.len() as u64),
            differences: compared.map(|(found, _)| found.iter().map(row).collect()),
            more,
        }
    }
}

impl DifferenceRow {
    fn new(difference: &Difference, reveals: bool) -> Self {
        let shown = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or_else(|| "–".to_owned(), |value| cut(&value.to_string(), 120))
        };
        Self {
            path: if reveals {
                cut(&difference.full_path(), 120)
            } else {
                cut(&difference.outer_path(), 120)
            },
            kind: difference.kind(),
            values: reveals.then(|| (shown(&difference.first), shown(&difference.other))),
        }
    }
}
