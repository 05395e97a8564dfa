//! When a meeting began and ended.

use std::time::Duration;

use super::edge::{Change, Edge, Place};
use crate::id::{Fqn, SessionId};
use crate::timestamp::Timestamp;

/// One sitting of a room: what happens under one `sessionId`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sitting {
    /// The sitting.
    pub session: SessionId,
    /// The meeting's name. Spelled as in one of its events, or as it is [compared](Fqn::room_key) when it comes from a table.
    pub fqn: Fqn,
    /// When the main room opened first; `None` while no `ROOM_CREATED` has been received.
    pub opened_at: Option<Timestamp>,
    /// When the main room closed; `None` while it is open.
    pub ended_at: Option<Timestamp>,
}

impl Sitting {
    /// The sitting of these edges, which are of one session; `None` when there are no edges.
    pub fn of<'a>(edges: impl IntoIterator<Item = &'a Edge>) -> Option<Self> {
        let mut sitting: Option<Self> = None;
        let (mut opened, mut closed) = (None, None);
        for edge in edges {
            let known = sitting.get_or_insert_with(|| Self::new(edge.session.clone(), edge.fqn.clone()));
            if edge.fqn.as_str() < known.fqn.as_str() {
                known.fqn = edge.fqn.clone();
            }
            match &edge.change {
                Change::Opened { room: Place::Main } => {
                    known.opened_at = Some(known.opened_at.map_or(edge.at, |at| at.min(edge.at)));
                    opened = opened.max(Some(edge.at));
                }
                Change::Closed { room: Place::Main } => closed = closed.max(Some(edge.at)),
                _ => {}
            }
        }
        sitting.map(|sitting| Self { ended_at: Self::end(opened, closed), ..sitting })
    }

    /// A sitting of which nothing is known.
    pub fn new(session: SessionId, fqn: Fqn) -> Self {
        Self { session, fqn, opened_at: None, ended_at: None }
    }

    /// When a room has closed for good that opened last and closed last at these times.
    pub fn end(opened: Option<Timestamp>, closed: Option<Timestamp>) -> Option<Timestamp> {
        closed.filter(|closed| opened.is_none_or(|opened| opened <= *closed))
    }

    /// Whether the main room has closed, and has not opened again since.
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}

/// Joins sittings of one room: those that began at most `gap` after the end of the one before are one meeting. Sittings that
/// nothing is known about but their end begin with it.
///
/// A room that everybody leaves closes, and who comes back a minute later opens a new sitting: for the people in it, that is
/// one meeting. The tables keep sittings; this joins them when they are read.
pub fn stitch(sittings: impl IntoIterator<Item = Sitting>, gap: Duration) -> Vec<Vec<Sitting>> {
    let begin = |sitting: &Sitting| sitting.opened_at.or(sitting.ended_at);
    let mut sittings: Vec<Sitting> = sittings.into_iter().collect();
    sittings.sort_by(|one, other| (begin(one), &one.session).cmp(&(begin(other), &other.session)));
    let mut meetings: Vec<Vec<Sitting>> = Vec::new();
    for sitting in sittings {
        let is_near = |meeting: &Vec<Sitting>| {
            let ends = meeting.iter().map(|sitting| sitting.ended_at);
            // While one of them goes on, no gap has begun.
            let end = ends.reduce(|one, other| Some(one?.max(other?))).flatten();
            end.zip(begin(&sitting)).is_none_or(|(end, begin)| begin.duration_since(end) <= gap)
        };
        match meetings.last_mut() {
            Some(meeting) if is_near(meeting) => meeting.push(sitting),
            _ => meetings.push(vec![sitting]),
        }
    }
    meetings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sitting(session: &str, opened: i64, ended: Option<i64>) -> Sitting {
        let at = Timestamp::from_secs;
        let sitting = Sitting::new(SessionId::new(session), Fqn::new("app/math"));
        Sitting { opened_at: Some(at(opened)), ended_at: ended.map(at), ..sitting }
    }

    #[test]
    fn sittings_with_short_gaps_are_one_meeting() {
        let sittings = [
            sitting("c", 500, None),
            sitting("a", 0, Some(100)),
            sitting("b", 160, Some(300)),
            sitting("d", 900, Some(950)),
        ];
        let sessions = |gap| -> Vec<Vec<String>> {
            let meetings = stitch(sittings.clone(), Duration::from_secs(gap));
            meetings.iter().map(|all| all.iter().map(|one| one.session.to_string()).collect()).collect()
        };
        assert_eq!(sessions(0), [vec!["a"], vec!["b"], vec!["c", "d"]], "c goes on");
        assert_eq!(sessions(60), [vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(sessions(200), [vec!["a", "b", "c", "d"]]);
    }
}
