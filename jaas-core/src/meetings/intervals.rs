//! Spans of time, and how long they are together.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// From a point in time to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end, which is not before the beginning.
    pub until: Timestamp,
}

impl Interval {
    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.until.duration_since(self.from)
    }
}

/// The same time without overlaps, in order: what touches or overlaps becomes one.
pub(super) fn union(intervals: impl IntoIterator<Item = Interval>) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = intervals.into_iter().collect();
    sorted.sort();
    let mut union: Vec<Interval> = Vec::new();
    for interval in sorted {
        match union.last_mut() {
            Some(last) if interval.from <= last.until => last.until = last.until.max(interval.until),
            _ => union.push(interval),
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(pairs: &[(i64, i64)]) -> Vec<Interval> {
        let at = Timestamp::from_millis;
        pairs.iter().map(|(from, until)| Interval { from: at(*from), until: at(*until) }).collect()
    }

    #[test]
    fn what_overlaps_or_touches_becomes_one() {
        let joined = union(intervals(&[(30, 31), (5, 20), (0, 10), (6, 7), (20, 22), (40, 40)]));
        assert_eq!(joined, intervals(&[(0, 22), (30, 31), (40, 40)]));
    }
}
