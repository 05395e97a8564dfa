//! Which event of a session runs next.

use std::time::Duration;

use super::RowId;
use crate::timestamp::Timestamp;

/// How the events of one session follow each other. Events of different sessions run in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOrder {
    /// How long an event waits after it was received, so that earlier events that are still on their way can overtake
    /// it. Defaults to zero.
    pub settle_window: Duration,
    /// How often an event may fail before later events of its session stop waiting for it
    /// ([`Failure::passable`](super::Failure::passable)). Defaults to 3, which with the default back-off is 3 to 6 s.
    pub hold_failures: u32,
}

impl Default for SessionOrder {
    fn default() -> Self {
        Self { settle_window: Duration::ZERO, hold_failures: 3 }
    }
}

/// An event that waits at the head of its session, and what decides whether it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The event's row.
    pub event: RowId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// When its back-off ends.
    pub due_at: Timestamp,
}

/// What to do with a session that no worker has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This event runs next.
    Run(RowId),
    /// Nothing can run before this time.
    Wait(Timestamp),
    /// No event of the session waits.
    Empty,
}

impl SessionOrder {
    /// Decides, for a store, what a session does next.
    ///
    /// `first` is the event that happened first among the waiting events that may not be passed; `passed` is the event
    /// whose back-off ends first among those that [may be](super::Failure::passable). A passed event runs again when
    /// its back-off ends, unless an event that happened earlier holds it back.
    pub fn turn(&self, first: Option<Head>, passed: Option<Head>, now: Timestamp) -> Turn {
        let Some(first) = first else {
            return match passed {
                Some(passed) if passed.due_at <= now => Turn::Run(passed.event),
                Some(passed) => Turn::Wait(passed.due_at),
                None => Turn::Empty,
            };
        };
        let ready_at = first.due_at.max(first.received_at.saturating_add(self.settle_window));
        let is_earlier = |head: &Head| (head.occurred_at, head.event) < (first.occurred_at, first.event);
        match passed.filter(is_earlier) {
            Some(passed) if passed.due_at <= now => Turn::Run(passed.event),
            _ if ready_at <= now => Turn::Run(first.event),
            Some(passed) => Turn::Wait(ready_at.min(passed.due_at)),
            None => Turn::Wait(ready_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(event: i64, occurred: i64, due: i64) -> Option<Head> {
        let [occurred_at, due_at] = [occurred, due].map(Timestamp::from_millis);
        Some(Head { event: RowId::new(event), occurred_at, received_at: occurred_at, due_at })
    }

    fn turn(first: Option<Head>, passed: Option<Head>) -> Turn {
        SessionOrder::default().turn(first, passed, Timestamp::from_millis(100))
    }

    #[test]
    fn an_event_that_was_passed_comes_back_when_its_back_off_is_over() {
        let run = |event| Turn::Run(RowId::new(event));
        let wait = |at| Turn::Wait(Timestamp::from_millis(at));
        assert_eq!(turn(None, None), Turn::Empty);
        assert_eq!(turn(head(2, 20, 20), None), run(2));
        assert_eq!(turn(head(2, 20, 20), head(1, 10, 150)), run(2), "the passed event waits");
        assert_eq!(turn(head(2, 20, 20), head(1, 10, 90)), run(1), "it is due, and earlier");
        assert_eq!(turn(head(1, 10, 10), head(2, 20, 90)), run(1), "it is due, and later");
        assert_eq!(turn(head(1, 10, 300), head(2, 20, 90)), wait(300), "an earlier event holds it back");
        assert_eq!(turn(head(2, 20, 300), head(1, 10, 200)), wait(200));
        assert_eq!(turn(None, head(1, 10, 150)), wait(150));
        assert_eq!(turn(None, head(1, 10, 90)), run(1));
    }

    #[test]
    fn the_settle_window_goes_by_when_an_event_was_received() {
        let order = SessionOrder { settle_window: Duration::from_millis(30), ..SessionOrder::default() };
        let now = Timestamp::from_millis(100);
        assert_eq!(order.turn(head(1, 80, 80), None, now), Turn::Wait(Timestamp::from_millis(110)));
        assert_eq!(order.turn(head(1, 70, 70), None, now), Turn::Run(RowId::new(1)));
    }
}
