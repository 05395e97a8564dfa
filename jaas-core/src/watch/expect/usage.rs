//! The bill, and who was there.
//!
//! `USAGE` is not sent for a lone participant; the second join brings both, each later one itself (documented).
//! Breakout rooms do not count; SIP devices are not on the bill, but end being alone (seen in the sender's modules).

use std::collections::{BTreeMap, BTreeSet};

use super::{Expectation, View};
use crate::id::SessionId;
use crate::meetings::{Stay, Via, stays};
use crate::timestamp::Timestamp;
use crate::watch::rule::Rule;
use crate::watch::sighting::{Seen, participant_of};

/// Adds what should follow joins and the bill.
pub(super) fn add(view: &View<'_>, session: &SessionId, all: &mut Vec<Expectation>) {
    let billed: BTreeSet<&str> = view.seen(Seen::Usage).map(|usage| usage.presence.as_str()).collect();
    let joined: BTreeSet<&str> = view.seen(Seen::Joined).map(|joined| joined.presence.as_str()).collect();
    if let Some(wait) = view.rules.wait(Rule::JoinNotSent) {
        for usage in view.seen(Seen::Usage) {
            let Some(participant) = participant_of(&usage.presence) else { continue };
            all.push(Expectation {
                participant: Some(participant),
                met: joined.contains(usage.presence.as_str()),
                ..Expectation::new(
                    Rule::JoinNotSent,
                    usage.presence.as_str(),
                    usage.at,
                    view.after(usage.at, wait),
                )
            });
        }
    }
    let Some(wait) = view.rules.wait(Rule::UsageNotSent) else { return };
    let stays = stays(&view.edges(session));
    // Visitors have no endpoint id on the bill. If more entries have none, it does not say whose they are.
    let visitors = stays.iter().filter(|stay| stay.who.via == Via::Visitor).count();
    if view.seen(Seen::Usage).filter(|usage| usage.presence.is_empty()).count() > visitors {
        return;
    }
    for (presence, at) in in_company(&stays) {
        let Some(participant) = participant_of(presence) else { continue };
        all.push(Expectation {
            participant: Some(participant),
            met: billed.contains(presence),
            ..Expectation::new(Rule::UsageNotSent, presence, at, view.after(at, wait))
        });
    }
}

/// Who is billed by their endpoint id and was there together with others, and since when.
fn in_company(stays: &[Stay]) -> BTreeMap<&str, Timestamp> {
    // When a stay ended that is estimated is not known: it may have ended the moment after it began.
    let end = |stay: &Stay| stay.left_at.filter(|_| !stay.estimated).unwrap_or(stay.joined_at);
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    // The stays are sorted by when they began. `longest` are the two that end last, of different presences.
    let mut longest: [Option<&Stay>; 2] = [None, None];
    for (index, stay) in stays.iter().enumerate() {
        let other = |other: &Stay| other.who.presence != stay.who.presence;
        let before = longest.into_iter().flatten().find(|one| other(one));
        if before.is_some_and(|one| end(one) >= stay.joined_at) {
            note(&mut since, stay, stay.joined_at);
        }
        let after = stays.iter().skip(index + 1).find(|one| other(one));
        if let Some(after) = after.filter(|one| one.joined_at <= end(stay)) {
            note(&mut since, stay, after.joined_at);
        }
        longest = match longest {
            [Some(first), second] if !other(first) => {
                [Some(if end(stay) > end(first) { stay } else { first }), second]
            }
            [Some(first), _] if end(stay) > end(first) => [Some(stay), Some(first)],
            [Some(first), Some(second)] if end(stay) > end(second) => [Some(first), Some(stay)],
            [Some(first), None] => [Some(first), Some(stay)],
            [None, _] => [Some(stay), None],
            kept => kept,
        };
    }
    since
}

fn note<'a>(since: &mut BTreeMap<&'a str, Timestamp>, stay: &'a Stay, at: Timestamp) {
    if matches!(stay.who.via, Via::Participant | Via::DialIn | Via::DialOut) {
        let known = since.entry(stay.who.presence.as_str()).or_insert(at);
        *known = (*known).min(at);
    }
}
