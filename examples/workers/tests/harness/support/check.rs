//! What must be true at the end, whatever has happened.

use std::collections::HashMap;
use std::time::Duration;

use jaas_core::store::{AttemptOutcome, EventState};

use super::database::{Database, Edges};
use super::until;

/// What the database contains after everything was sent, and every process is idle.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Keys that were acknowledged and have no row.
    pub(crate) missing: usize,
    /// Rows of the inbox whose key was never sent, or second rows of a key.
    pub(crate) surplus: usize,
    /// Keys that were handled more than once.
    pub(crate) doubled: usize,
    /// Keys that were not handled although their event was not dead-lettered.
    pub(crate) unhandled: usize,
    /// Events that wait or run.
    pub(crate) stuck: usize,
    /// Events that were dead-lettered because of crashes.
    pub(crate) dead_of_crashes: usize,
    /// Events that were dead-lettered for another reason.
    pub(crate) dead_of_failures: usize,
    /// Events by the number of their crashes.
    pub(crate) crashes: Vec<usize>,
    /// How many attempts failed, crashed and were interrupted.
    pub(crate) attempts: [usize; 3],
    /// Errors of handlers and notes of dead letters, with their counts.
    pub(crate) errors: Vec<(usize, String)>,
}

impl Figures {
    /// Reads the state from the database. These keys were all acknowledged.
    pub(crate) async fn read(database: &Database, keys: impl Iterator<Item = &str>) -> Self {
        let mut sent: HashMap<&str, (usize, usize)> = keys.map(|key| (key, (0, 0))).collect();
        let (events, rows, tries) =
            (database.events().await, database.handled().await, database.attempts().await);
        let mut figures = Self {
            missing: 0,
            surplus: 0,
            doubled: 0,
            unhandled: 0,
            stuck: 0,
            dead_of_crashes: 0,
            dead_of_failures: 0,
            crashes: vec![0; 1],
            attempts: [0; 3],
            errors: Vec::new(),
        };
        let mut errors: HashMap<String, usize> = HashMap::new();
        let mut dead = Vec::new();
        for event in &events {
            match sent.get_mut(event.idempotency_key.as_str()) {
                Some((stored @ 0, _)) => *stored = 1,
                _ => figures.surplus += 1,
            }
            let crashes = event.crashes as usize;
            if figures.crashes.len() <= crashes {
                figures.crashes.resize(crashes + 1, 0);
            }
            figures.crashes[crashes] += 1;
            figures.stuck += usize::from(!event.state.is_settled());
            if event.state == EventState::Dead {
                dead.push(event.idempotency_key.as_str());
                let note = event.note.clone().unwrap_or_default();
                if note.contains("while a handler was running") {
                    figures.dead_of_crashes += 1;
                } else {
                    figures.dead_of_failures += 1;
                }
                *errors.entry(format!("dead: {note}")).or_default() += 1;
            }
        }
        for row in &rows {
            match sent.get_mut(row.key.as_str()) {
                Some((_, handled)) => *handled += 1,
                None => figures.surplus += 1,
            }
        }
        for (key, (stored, handled)) in &sent {
            figures.missing += usize::from(*stored == 0);
            figures.doubled += usize::from(*handled > 1);
            figures.unhandled += usize::from(*handled == 0 && !dead.contains(key));
        }
        for attempt in tries {
            let outcome = AttemptOutcome::ALL.iter().position(|each| *each == attempt.outcome);
            figures.attempts[outcome.expect("a known one")] += 1;
            if let Some(error) = attempt.error {
                *errors.entry(format!("failed: {error}")).or_default() += 1;
            }
        }
        figures.errors = errors.into_iter().map(|(error, count)| (count, error)).collect();
        figures.errors.sort_by(|one, other| other.cmp(one));
        figures
    }

    /// Asserts that nothing is lost, duplicated or stuck.
    pub(crate) fn check(&self) {
        let wrong = [self.missing, self.surplus, self.doubled, self.unhandled, self.stuck];
        assert_eq!(wrong, [0; 5], "{self:#?}");
    }

    /// Prints the totals in one line, and failures in further lines.
    pub(crate) fn print(&self) {
        let [failed, crashed, interrupted] = self.attempts;
        println!(
            "  acked but missing {}, surplus {}, doubled {}, unhandled {}, stuck {}; dead letters: {} of crashes, {} of failures",
            self.missing,
            self.surplus,
            self.doubled,
            self.unhandled,
            self.stuck,
            self.dead_of_crashes,
            self.dead_of_failures
        );
        println!(
            "  attempts: {crashed} crashed, {failed} failed, {interrupted} interrupted; events by their crashes (0, 1, …): {:?}",
            self.crashes
        );
        for (count, error) in self.errors.iter().take(5) {
            println!("  {count} × {error}");
        }
    }
}

/// Waits until nothing waits or runs, and returns how long that took.
pub(crate) async fn drained(database: &Database, limit: Duration) -> Duration {
    until("everything is settled", limit, async || database.unsettled().await == 0).await
}

/// Asserts that each join and each leave has a row, in whatever order they came.
pub(crate) async fn edges(database: &Database, expected: &Edges) {
    let edges = database.edges().await;
    let missing = expected.difference(&edges).count();
    assert_eq!((missing, edges.len()), (0, expected.len()), "missing rows, and how many there are");
}
