//! What changes in the list of a session's gaps: a pure function.

use std::collections::BTreeSet;

use super::expect::Expectation;
use super::store::{GapRecord, GapState};
use crate::timestamp::Timestamp;

/// What an audit of a session found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings<'a> {
    /// Expectations that have become gaps.
    pub(super) found: Vec<&'a Expectation>,
    /// Open gaps that have closed.
    pub(super) closed: Vec<&'a GapRecord>,
    /// When the next expectation may become a gap.
    pub(super) next: Option<Timestamp>,
}

/// Compares what should have followed by `now` with the gaps that are known. A gap is found once: one that has closed
/// does not open again.
pub(super) fn audit<'a>(
    expectations: &'a [Expectation],
    gaps: &'a [GapRecord],
    now: Timestamp,
) -> Findings<'a> {
    let mut findings = Findings::default();
    let known: BTreeSet<_> = gaps.iter().map(|record| (record.gap.rule, &*record.gap.subject)).collect();
    let is_known = |one: &Expectation| {
        let subjects = std::iter::once(&one.subject).chain(&one.also);
        subjects.into_iter().any(|subject| known.contains(&(one.rule, &**subject)))
    };
    for expectation in expectations.iter().filter(|one| !one.met && !is_known(one)) {
        if expectation.due_at <= now {
            findings.found.push(expectation);
        } else {
            findings.next = [findings.next, Some(expectation.due_at)].into_iter().flatten().min();
        }
    }
    let missing: BTreeSet<_> = expectations
        .iter()
        .filter(|one| !one.met)
        .flat_map(|one| std::iter::once(&one.subject).chain(&one.also).map(|subject| (one.rule, &**subject)))
        .collect();
    let open = gaps.iter().filter(|record| record.state == GapState::Open);
    findings.closed = open.filter(|one| !missing.contains(&(one.gap.rule, &*one.gap.subject))).collect();
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::{Fqn, SessionId};
    use crate::store::RowId;
    use crate::watch::expect::expectations;
    use crate::watch::rule::{Rule, Rules};
    use crate::watch::sighting::{Seen, Sighting};
    use crate::watch::store::Gap;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(minutes * 60)
    }

    fn seen(what: Seen, slot: &str, minutes: i64) -> Sighting {
        Sighting::new(what, slot, at(minutes), at(minutes))
    }

    fn after(sightings: &[Sighting], minutes: i64) -> Vec<Expectation> {
        expectations(&Rules::default(), &SessionId::new("s"), at(minutes), sightings)
    }

    fn known(rule: Rule, subject: &str, closed: bool) -> GapRecord {
        let gap = Gap::new(rule, SessionId::new("s"), Fqn::new("app/room"), subject, at(0), at(0));
        GapRecord::new(RowId::new(1), gap, at(0), closed.then_some(at(1)))
    }

    #[test]
    fn a_recording_without_upload_is_a_gap_after_its_time_and_not_before() {
        let sightings = [seen(Seen::RecordingStarted, "b", 0), seen(Seen::RecordingEnded, "e", 30)];
        let expected = after(&sightings, 30);
        let early = audit(&expected, &[], at(89));
        assert_eq!((early.found.len(), early.next), (0, Some(at(90))));
        let late = audit(&expected, &[], at(90));
        let found: Vec<_> = late.found.iter().map(|one| (one.rule, one.subject.as_str())).collect();
        assert_eq!((found, late.next), (vec![(Rule::RecordingNotUploaded, "b")], None));
    }

    #[test]
    fn a_gap_is_found_once_even_when_its_beginning_arrives_after_it() {
        // The end was there alone when the gap was found; now there is the beginning too.
        let sightings = [seen(Seen::RecordingStarted, "b", 0), seen(Seen::RecordingEnded, "e", 30)];
        let expected = after(&sightings, 30);
        for closed in [false, true] {
            let gaps = [known(Rule::RecordingNotUploaded, "e", closed)];
            assert_eq!(audit(&expected, &gaps, at(500)), Findings::default());
        }
    }

    #[test]
    fn a_gap_closes_when_what_was_missing_comes() {
        let mut uploaded = seen(Seen::RecordingUploaded, "u", 200);
        uploaded.ended_at = Some(at(30));
        let sightings = [uploaded, seen(Seen::RecordingEnded, "e", 30), seen(Seen::RecordingStarted, "b", 0)];
        let gaps = [known(Rule::RecordingNotUploaded, "e", false)];
        let expected = after(&sightings, 200);
        let findings = audit(&expected, &gaps, at(500));
        assert_eq!((findings.found.len(), findings.closed, findings.next), (0, vec![&gaps[0]], None));
    }

    #[test]
    fn an_open_gap_stays_open_while_the_room_speaks_again() {
        let opened = [seen(Seen::Opened, "o", 0)];
        let gaps = [known(Rule::RoomNotClosed, "main", false)];
        let expected = after(&opened, 600);
        assert_eq!(audit(&expected, &gaps, at(700)), Findings::default());
        let silence = Duration::from_secs(8 * 3600);
        assert_eq!(audit(&expected, &[], at(700)).next, Some(at(600).saturating_add(silence)));
    }
}
