//! Comparing what an application has learned with what happened.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jaas_core::Timestamp;
use jaas_core::event::EventKind;
use jaas_core::meetings::{Attendance, Place, Sitting, Stay, Via};

use super::Facts;

/// What of a stay is compared, as a line: who, where, from when until when, and how it ended.
fn line(stay: &Stay) -> String {
    let left = stay.left_at.map_or_else(|| "is there".to_owned(), |at| at.to_string());
    // The facts do not say why calls and waits ended.
    let reason = stay.reason.as_ref().filter(|_| !stay.who.via.is_call() && !stay.place.is_lobby());
    format!(
        "{} {} {}: {} to {left}{} user={} reason={}",
        stay.who.via.as_str(),
        stay.who.presence,
        stay.place,
        stay.joined_at,
        if stay.estimated { " (estimated)" } else { "" },
        stay.who.user_id.as_ref().map_or("-", |id| id.as_str()),
        reason.map_or("-", |reason| reason.as_str()),
    )
}

/// Compares lines in any order; the error lists those that differ.
pub(super) fn compare(what: &str, mut learned: Vec<String>, mut happened: Vec<String>) -> Result<(), String> {
    learned.sort();
    happened.sort();
    if learned == happened {
        return Ok(());
    }
    let mut report = format!("{what} are not what happened:\n");
    for line in learned.iter().filter(|line| !happened.contains(line)) {
        let _ = writeln!(report, "  learned:  {line}");
    }
    for line in happened.iter().filter(|line| !learned.contains(line)) {
        let _ = writeln!(report, "  happened: {line}");
    }
    if learned.len() != happened.len() {
        let _ = writeln!(report, "  {} were learned, {} happened", learned.len(), happened.len());
    }
    Err(report)
}

impl Facts {
    /// Compares the stays that an application has learned of the meeting, from
    /// [`jaas_core::meetings::stays`] or from tables of its own: participants, visitors, phones and the lobby, field by field.
    ///
    /// # Errors
    /// A text with the stays that differ.
    pub fn check_stays(&self, learned: &[Stay]) -> Result<(), String> {
        let happened = self.expected_stays().iter().map(line).collect();
        let what = format!("the stays of the meeting {}", self.session);
        compare(&what, learned.iter().map(line).collect(), happened)
    }

    /// Compares when the meeting began and ended, and where it was.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_sitting(&self, learned: &Sitting) -> Result<(), String> {
        let room = |sitting: &Sitting| sitting.fqn.room_key();
        let learned = (room(learned), learned.opened_at, learned.ended_at);
        let happened = (self.room.to_lowercase(), self.opened_at, self.ended_at);
        if learned == happened {
            return Ok(());
        }
        Err(format!("the meeting {} is learned as {learned:?}, and it was {happened:?}", self.session))
    }

    /// Compares who attended and for how long, to the millisecond: the users, each once.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_attendance(&self, learned: &Attendance) -> Result<(), String> {
        let users: BTreeSet<&str> = learned
            .people
            .iter()
            .filter_map(|person| person.user_id.as_ref())
            .map(|id| id.as_str())
            .collect();
        if users != self.users() {
            return Err(format!("{users:?} are learned, and {:?} were there", self.users()));
        }
        for person in &learned.people {
            let Some(user) = &person.user_id else { continue };
            let (attended, happened) = (person.attended(), self.attended_with_ways(user.as_str()));
            if attended != happened {
                return Err(format!(
                    "{user} is learned to have attended {attended:?}, and it was {happened:?}"
                ));
            }
        }
        Ok(())
    }

    /// What [`jaas_core::meetings::stays`] should make of the events.
    fn expected_stays(&self) -> Vec<Stay> {
        let stay = |presence: &str, via, place, joined_at| {
            let who = jaas_core::meetings::Who::new(presence, via);
            Stay::new(self.session.clone(), who, place, joined_at)
        };
        let mut all: Vec<Stay> = Vec::new();
        for fact in &self.stays {
            let presence = fact.participant.as_ref().map_or(fact.jid.bare(), |id| id.as_str());
            let via = if fact.visitor { Via::Visitor } else { Via::Participant };
            let place = match &fact.breakout {
                Some(id) => Place::Breakout { id: Some(id.clone()) },
                None => Place::Main,
            };
            let mut expected = stay(presence, via, place, fact.joined_at);
            expected.who.user_id = fact.user.clone();
            expected.left_at = fact.left_at;
            expected.estimated = fact.estimated;
            expected.reason = fact.reason.clone();
            all.push(expected);
        }
        for fact in &self.calls {
            let via = match fact.kind {
                EventKind::DialInStarted => Via::DialIn,
                EventKind::DialOutStarted => Via::DialOut,
                EventKind::SipCallInStarted => Via::SipIn,
                _ => Via::SipOut,
            };
            let end = fact.ended_at.or(self.ended_at);
            let mut expected = stay(fact.participant.as_str(), via, Place::Main, fact.started_at);
            expected.left_at = end;
            expected.estimated = fact.ended_at.is_none() && end.is_some();
            all.push(expected);
        }
        for fact in &self.waits {
            let mut expected = stay(fact.participant.as_str(), Via::Participant, Place::Lobby, fact.since);
            let end: Option<Timestamp> = fact.until.or(self.ended_at);
            expected.who.user_id = fact.user.clone();
            expected.left_at = end;
            expected.estimated = fact.until.is_none() && end.is_some();
            all.push(expected);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use crate::simulator::{Meeting, Person};

    #[test]
    fn what_is_missing_and_what_is_made_up_is_named() {
        let mut meeting = Meeting::new(3);
        let ada = meeting.join(&Person::named("Ada"));
        meeting.leave(ada);
        let facts = meeting.facts();
        let mut stays = facts.expected_stays();
        assert_eq!(facts.check_stays(&stays), Ok(()));
        stays[0].left_at = None;
        let report = facts.check_stays(&stays).expect_err("another end");
        assert!(report.contains("learned:") && report.contains("happened:") && report.contains("is there"));
        let report = facts.check_stays(&[stays.clone(), stays].concat()).expect_err("twice");
        assert!(report.contains("2 were learned, 1 happened"), "{report}");
    }
}
