//! The bounds of the model: which events arrive, and how often something goes wrong.

use crate::protocol::state::{EVENTS, Left};

/// The limits of one exploration. It is exhaustive within them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The session of each event.
    pub(crate) sessions: [usize; EVENTS],
    /// How often each event is delivered; 0 for an event that never comes.
    pub(crate) copies: [u8; EVENTS],
    /// How often each misfortune happens, at most.
    pub(crate) left: Left,
    /// Ticks from acceptance until an event may run: the settle window.
    pub(crate) window: u8,
    /// How many ticks a failed event may have to wait.
    pub(crate) backoffs: &'static [u8],
    /// After this many failures an event is passed.
    pub(crate) hold_failures: u8,
    /// After this many crashes an event is dead.
    pub(crate) max_crashes: u8,
    /// Whether a new event can be handed to a worker of the process that accepts it.
    pub(crate) hand_over: bool,
    /// Whether a receiver may accept two events in one transaction.
    pub(crate) batches: bool,
    /// Whether the event after another one runs before that one is recorded.
    pub(crate) ahead: bool,
}

const NEVER: Left = Left { crashes: 0, expiries: 0, failures: 0, returns: 0, replays: 0, discards: 0 };

const BASE: Bounds = Bounds {
    sessions: [0; EVENTS],
    copies: [1, 1, 0, 0],
    left: NEVER,
    window: 0,
    backoffs: &[1],
    hold_failures: 1,
    max_crashes: 2,
    hand_over: true,
    batches: false,
    ahead: false,
};

/// Deliveries: four events of one session in any order, two of them twice; a settle window; a crash and a lost lease.
pub(crate) const DELIVERIES: Bounds =
    Bounds { copies: [2, 2, 1, 1], window: 1, left: Left { crashes: 1, expiries: 1, ..NEVER }, ..BASE };

/// Batches: four events, three of them of one session, accepted one by one or two in one transaction.
pub(crate) const BATCHES: Bounds = Bounds {
    sessions: [0, 0, 1, 0],
    copies: [2, 1, 1, 1],
    left: Left { crashes: 1, expiries: 1, ..NEVER },
    batches: true,
    ..BASE
};

/// Running ahead: three events of one session that arrive in any order, and may fail or be discarded.
pub(crate) const AHEAD: Bounds = Bounds {
    copies: [1, 1, 1, 0],
    left: Left { crashes: 1, expiries: 1, failures: 1, discards: 1, ..NEVER },
    hand_over: false,
    ahead: true,
    ..BASE
};

/// Failures: three events of one session; the first failure of an event holds back the session, after the second one the
/// event is passed.
pub(crate) const FAILURES: Bounds = Bounds {
    copies: [1, 1, 1, 0],
    left: Left { failures: 3, crashes: 1, returns: 1, discards: 1, ..NEVER },
    backoffs: &[0, 1, 2],
    hold_failures: 2,
    ..BASE
};

/// Leases: two events of one session; leases are lost to a crash and to time, and renewed in time and too late.
pub(crate) const LEASES: Bounds = Bounds {
    left: Left { crashes: 1, expiries: 2, failures: 1, returns: 1, replays: 1, ..NEVER },
    max_crashes: 3,
    ..BASE
};

/// Suspects: two events in each of two sessions; crashes make suspects, and dead-letter them.
pub(crate) const SUSPECTS: Bounds = Bounds {
    sessions: [0, 0, 1, 1],
    copies: [1, 1, 1, 1],
    left: Left { crashes: 2, expiries: 1, ..NEVER },
    hand_over: false,
    ..BASE
};

/// Operators: replay and discard beside two sessions that are being processed.
pub(crate) const OPERATORS: Bounds = Bounds {
    sessions: [0, 0, 1, 1],
    copies: [1, 1, 1, 0],
    left: Left { crashes: 1, failures: 1, replays: 1, discards: 1, ..NEVER },
    ..BASE
};

/// Two sessions with some of everything.
pub(crate) const EVERYTHING: Bounds = Bounds {
    sessions: [0, 0, 1, 1],
    copies: [1, 1, 1, 0],
    left: Left { crashes: 1, expiries: 1, failures: 1, returns: 0, replays: 1, discards: 0 },
    ..BASE
};
