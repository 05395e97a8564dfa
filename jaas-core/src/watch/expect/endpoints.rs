//! Endpoints at which nothing authentic arrives.

use std::collections::BTreeSet;

use super::{Expectation, View};
use crate::timestamp::Timestamp;
use crate::watch::endpoint::{HOUR, WEEKS, hour_of};
use crate::watch::rule::Rule;
use crate::watch::sighting::{Seen, Sighting};

const WEEK: i64 = 7 * 24;

/// So many weeks must be known before an hour is compared with them.
const FEWEST_WEEKS: i64 = 3;

/// How far ahead silence is judged, in hours.
const HORIZON: i64 = 4 * WEEK;

/// How unlikely a silence must be by the endpoint's habit: less likely than 1 in 10,000.
const UNLIKELY: f64 = 10_000.0;

/// Adds what should follow at an endpoint.
pub(super) fn add(view: &View<'_>, all: &mut Vec<Expectation>) {
    let Some(last) = view.seen(Seen::Heard).map(|heard| heard.at).max() else { return };
    let refusals: Vec<_> = view.seen(Seen::Refused).filter(|refused| refused.at > last).collect();
    // What it refuses is not silence, whether or not that has lasted.
    if refusals.is_empty() {
        all.extend(silence(view, last));
    }
    let Some(wait) = view.rules.wait(Rule::EndpointRefuses) else { return };
    // Another process may have accepted something during a run.
    let since = |refused: &&Sighting| refused.began_at.unwrap_or(refused.at).max(last);
    let has_lasted = |refused: &&Sighting| refused.at.duration_since(since(refused)) >= wait;
    if let Some(first) = refusals.iter().copied().filter(has_lasted).map(|one| since(&one)).min() {
        let due_at = first.saturating_add(wait);
        all.push(Expectation::new(Rule::EndpointRefuses, last.to_string(), first, due_at));
    }
}

/// When it has been silent too long. The hours of silence are compared with the same hours of the weeks before: the
/// chance that all are silent is the product of the shares of the weeks that were.
fn silence(view: &View<'_>, last: Timestamp) -> Option<Expectation> {
    let wait = view.rules.wait(Rule::EndpointSilent)?;
    let hours = |what| view.seen(what).map(|seen| hour_of(seen.at)).collect::<BTreeSet<_>>();
    let (heard, listening) = (hours(Seen::Heard), hours(Seen::Listening));
    let (first, last_hour, now) = (*heard.first()?, hour_of(last), hour_of(view.last_seen));
    let mut chance = 1.0;
    for hour in last_hour + 1..=last_hour + HORIZON {
        // No receiver ran in this hour. Hours to come count as if one will run: the next audit looks again.
        if hour <= now && !listening.contains(&hour) {
            continue;
        }
        let weeks = ((hour - first) / WEEK).min(WEEKS);
        let active = (1..=weeks).filter(|week| heard.contains(&(hour - week * WEEK))).count() as i64;
        if weeks < FEWEST_WEEKS || active * 2 < weeks {
            continue;
        }
        chance *= 1.0 - active as f64 / (weeks + 1) as f64;
        if chance * UNLIKELY < 1.0 {
            let due_at = Timestamp::from_millis((hour + 1) * HOUR).max(last.saturating_add(wait));
            return Some(Expectation::new(Rule::EndpointSilent, last.to_string(), last, due_at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::SessionId;
    use crate::watch::expect::expectations;
    use crate::watch::rule::Rules;

    /// A Monday, 00:00.
    const START: i64 = 1_795_392_000_000 / HOUR;

    fn seen(what: Seen, hour: i64) -> Sighting {
        let at = Timestamp::from_millis((START + hour) * HOUR + 60_000);
        Sighting::new(what, hour.to_string(), at, at)
    }

    /// Somebody listens until `now`, and in these hours something came.
    fn sightings(now: i64, is_active: impl Fn(i64) -> bool) -> Vec<Sighting> {
        let heard = (0..=now).filter(|hour| is_active(*hour)).map(|hour| seen(Seen::Heard, hour));
        (0..=now).map(|hour| seen(Seen::Listening, hour)).chain(heard).collect()
    }

    fn expected(sightings: &[Sighting]) -> Vec<Expectation> {
        let last_seen = sightings.iter().map(|one| one.at).max().expect("some");
        expectations(&Rules::default(), &SessionId::new("endpoint:main"), last_seen, sightings)
    }

    /// How many hours after the start a gap is found, when nothing comes any more.
    fn found_at(sightings: &[Sighting]) -> Option<i64> {
        expected(sightings).first().map(|one| one.due_at.as_millis() / HOUR - START)
    }

    /// On workdays from 6:00 to 20:00.
    fn office(hour: i64) -> bool {
        hour.rem_euclid(WEEK) < 5 * 24 && (6..20).contains(&hour.rem_euclid(24))
    }

    /// A figure from 0 to 99 of this hour.
    fn dice(hour: i64, seed: i64) -> i64 {
        let mixed = (hour + seed * 1_000_003).wrapping_mul(0x09E3_779B_97F4_A7C1_i64);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x0BF5_8476_D1CE_4E5B_i64).rem_euclid(100_003) % 100
    }

    #[test]
    fn a_nightly_pause_and_a_weekend_are_habits() {
        for weeks in 1..12 {
            for hour in 0..WEEK {
                let now = weeks * WEEK + hour;
                let due = found_at(&sightings(now, office));
                assert!(due.is_none_or(|due| due > now), "week {weeks}, hour {hour}: {due:?}");
            }
        }
    }

    #[test]
    fn a_busy_morning_without_events_is_a_gap_before_noon() {
        let monday = 9 * WEEK;
        let due = found_at(&sightings(monday + 5, |hour| hour < monday && office(hour)));
        assert_eq!(due, Some(monday + 11), "five hours in which something came in each of eight weeks");
        let younger = 4 * WEEK;
        let due = found_at(&sightings(younger + 5, |hour| hour < younger && office(hour)));
        assert_eq!(due, Some(younger + 12), "with four weeks it takes longer");
    }

    #[test]
    fn a_new_endpoint_has_no_habit() {
        for days in 1..20 {
            let now = days * 24;
            assert_eq!(found_at(&sightings(now, office)).filter(|due| *due <= now), None);
        }
        // It was tried for two days, and never again.
        for hour in (0..20 * WEEK).step_by(24) {
            let tried = sightings(hour.max(48), |hour| hour < 48 && office(hour));
            assert_eq!(found_at(&tried), None);
        }
    }

    #[test]
    fn random_hours_raise_no_alarm() {
        for (seed, percent) in [(1, 20), (2, 50), (4, 80)] {
            let is_active = |hour: i64| dice(hour, seed) < percent;
            let mut whole = sightings(12 * WEEK, is_active);
            whole.sort_by_key(|one| one.at);
            let before = |hour: i64| whole.partition_point(|one| hour_of(one.at) - START < hour);
            let mut last = None;
            for now in 0..12 * WEEK {
                if is_active(now) {
                    let kept = &whole[before(now - (WEEKS + 1) * WEEK)..before(now + 1)];
                    assert!(last.is_none_or(|due| now < due), "{percent} %: alarm before hour {now}");
                    last = found_at(kept);
                }
            }
        }
    }

    #[test]
    fn hours_in_which_nobody_listened_are_not_silent() {
        let monday = 9 * WEEK;
        let mut down = sightings(monday + 15, |hour| hour < monday && office(hour));
        down.retain(|one| !(monday..monday + 15).contains(&(hour_of(one.at) - START)));
        assert_eq!(found_at(&down), Some(monday + 20), "the five hours begin at 15:00");
    }

    #[test]
    fn silence_is_reported_no_sooner_than_the_rule_says() {
        let monday = 9 * WEEK;
        let quiet = sightings(monday + 5, |hour| hour < monday && office(hour));
        let rules = Rules::default().within(Rule::EndpointSilent, Duration::from_secs(90 * 3600));
        let last_seen = quiet.iter().map(|one| one.at).max().expect("some");
        let expected = expectations(&rules, &SessionId::new("endpoint:main"), last_seen, &quiet);
        assert_eq!(expected[0].due_at, expected[0].seen_at.saturating_add(Duration::from_secs(90 * 3600)));
    }

    /// Everything is refused from the one hour to the other.
    fn refused(from: i64, to: i64) -> Sighting {
        let mut run = seen(Seen::Refused, to);
        run.slot = format!("from {from}");
        run.began_at = Some(seen(Seen::Refused, from).at);
        run
    }

    fn refuses(sightings: &[Sighting]) -> Vec<(Rule, i64)> {
        expected(sightings).iter().map(|one| (one.rule, hour_of(one.seen_at) - START)).collect()
    }

    #[test]
    fn refusals_after_something_authentic_are_a_gap_and_those_before_are_not() {
        let mut all = vec![refused(0, 1), seen(Seen::Heard, 2), seen(Seen::Listening, 2)];
        assert_eq!(refuses(&all), []);
        all.extend([refused(5, 6), refused(4, 7)]);
        assert_eq!(refuses(&all), [(Rule::EndpointRefuses, 4)]);
        assert_eq!(expected(&all)[0].subject, seen(Seen::Heard, 2).at.to_string());
    }

    #[test]
    fn a_run_during_which_another_process_accepted_counts_from_then() {
        let all = [refused(1, 7), seen(Seen::Heard, 5)];
        assert_eq!(refuses(&all), [(Rule::EndpointRefuses, 5)]);
        let mut short = refused(1, 5);
        short.at = short.at.saturating_add(Duration::from_secs(14 * 60));
        assert_eq!(refuses(&[short, seen(Seen::Heard, 5)]), []);
    }

    #[test]
    fn an_endpoint_that_has_never_accepted_does_not_begin_to_fail() {
        assert_eq!(refuses(&[refused(1, 7), seen(Seen::Listening, 2)]), []);
    }
}
