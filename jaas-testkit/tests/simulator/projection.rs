//! What an application would keep of a meeting: everything in the facts, learned from the events alone, in any order
//! and however often they come.

use std::collections::{BTreeMap, BTreeSet};

use jaas_core::event::{Event, EventKind, Participant};
use jaas_core::{Delivery, Link, ParticipantId, Room, Timestamp};
use jaas_testkit::simulator::Facts;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Projection {
    opened_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// By participant, room and time, because one participant can come to a room several times.
    joins: BTreeMap<Edge, Option<String>>,
    leaves: BTreeMap<Edge, Option<String>>,
    stays: BTreeMap<Edge, Stay>,
    calls: BTreeMap<String, Call>,
    devices: BTreeSet<String>,
    /// By poll, then by the voter: when, and what was ticked.
    polls: BTreeMap<String, BTreeMap<String, (Timestamp, BTreeSet<i64>)>>,
    /// By key of the event.
    reactions: BTreeMap<String, Vec<String>>,
    ratings: BTreeMap<(Timestamp, String), u8>,
    artifacts: BTreeSet<(EventKind, Option<String>, Link)>,
}

/// The participant who entered or left which room (`None` is the main room), and when.
type Edge = (String, Option<String>, Timestamp);

#[derive(Debug, Default, PartialEq)]
struct Stay {
    user: Option<String>,
    left_at: Option<Timestamp>,
    reason: Option<String>,
}

#[derive(Debug, Default, PartialEq)]
struct Call {
    kind: Option<EventKind>,
    address: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl Projection {
    pub(crate) fn of<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Self {
        let mut projection = Self::default();
        for delivery in deliveries {
            projection.see(delivery);
        }
        projection
    }

    fn see(&mut self, delivery: &Delivery) {
        let at = delivery.envelope.timestamp.expect("a time");
        let key = delivery.envelope.idempotency_key.to_string();
        let kind = delivery.envelope.kind;
        match delivery.event() {
            Event::RoomCreated(created) if !created.room.is_breakout() => self.opened_at = Some(at),
            Event::RoomDestroyed(destroyed) if !destroyed.room.is_breakout() => self.ended_at = Some(at),
            Event::ParticipantJoined(joined) => {
                let edge = edge(joined.participant, &joined.room, at);
                self.joins.insert(edge.0, edge.1);
            }
            Event::ParticipantLeft(left) => {
                let reason = left.disconnect_reason.map(|reason| reason.as_str().to_owned());
                self.leaves.insert(edge(left.participant, &left.room, at).0, reason);
            }
            Event::DialInStarted(call) => self.begin(call.participant_id, kind, call.nick.map(number), at),
            Event::DialOutStarted(call) => self.begin(call.participant_id, kind, call.nick.map(number), at),
            Event::SipCallInStarted(call) => {
                self.begin(
                    call.participant_id,
                    kind,
                    call.sip_address.map(|address| address.into_exposed()),
                    at,
                );
            }
            Event::SipCallOutStarted(call) => {
                self.begin(
                    call.participant_id,
                    kind,
                    call.sip_address.map(|address| address.into_exposed()),
                    at,
                );
            }
            Event::DialInEnded(call) => self.call(call.participant_id).ended_at = Some(at),
            Event::DialOutEnded(call) => self.call(call.participant_id).ended_at = Some(at),
            Event::SipCallInEnded(call) => self.call(call.participant_id).ended_at = Some(at),
            Event::SipCallOutEnded(call) => self.call(call.participant_id).ended_at = Some(at),
            Event::Usage(usage) => {
                let devices = usage.0.into_iter().filter_map(|entry| entry.device_id);
                self.devices.extend(devices.map(|device| device.into_exposed()));
            }
            Event::PollCreated(created) => {
                self.polls.entry(created.poll_id.expect("a poll").into_string()).or_default();
            }
            Event::PollAnswer(answer) => {
                let poll = self.polls.entry(answer.poll_id.expect("a poll").into_string()).or_default();
                let ticked = answer.answers.into_iter().filter(|choice| choice.value == Some(true));
                let ticked = ticked.filter_map(|choice| choice.key).collect();
                let by = answer.user.and_then(|user| user.participant_jid).expect("an address").into_string();
                let kept = poll.entry(by).or_insert((at, BTreeSet::new()));
                if kept.0 <= at {
                    *kept = (at, ticked);
                }
            }
            Event::Reactions(sent) => {
                let sent = sent.reactions.iter().map(|reaction| reaction.as_str().to_owned()).collect();
                self.reactions.insert(key, sent);
            }
            Event::Feedback(feedback) => {
                self.ratings.extend(feedback.stars().map(|stars| ((at, key), stars)));
            }
            Event::RecordingUploaded(file) => {
                let id = file.recording_session_id.map(|id| id.into_string());
                self.keep(kind, id, file.pre_authenticated_link);
            }
            Event::VideoSegmentUploaded(file) => {
                let id = file.recording_session_id.map(|id| id.into_string());
                self.keep(kind, id, file.pre_authenticated_link);
            }
            Event::RtcstatsUploaded(file) => {
                self.keep(kind, file.endpoint_id.map(|id| id.into_string()), file.stats_url);
            }
            Event::DocumentAdded(file) => self.keep(kind, file.file_id, file.pre_authenticated_link),
            Event::TranscriptionUploaded(file) => self.keep(kind, None, file.pre_authenticated_link),
            Event::ChatUploaded(file) => self.keep(kind, None, file.pre_authenticated_link),
            Event::ScreenSharingHistory(file) => self.keep(kind, None, file.pre_authenticated_link),
            _ => {}
        }
    }

    /// Each join lasts until the first leave of the same participant and room after it, or until the room closed.
    fn pair(&mut self) {
        for (join, user) in std::mem::take(&mut self.joins) {
            let (who, room, joined_at) = &join;
            let leave =
                self.leaves.keys().find(|left| left.0 == *who && left.1 == *room && left.2 > *joined_at);
            let left = leave.cloned().and_then(|leave| self.leaves.remove_entry(&leave));
            let (left_at, reason) = match left {
                Some(((_, _, at), reason)) => (Some(at), reason),
                None => (self.ended_at, None),
            };
            self.stays.insert(join, Stay { user, left_at, reason });
        }
    }

    fn call(&mut self, id: Option<ParticipantId>) -> &mut Call {
        self.calls.entry(id.expect("an endpoint id").into_string()).or_default()
    }

    fn begin(&mut self, id: Option<ParticipantId>, kind: EventKind, address: Option<String>, at: Timestamp) {
        let call = self.call(id);
        call.kind = Some(kind);
        call.address = address;
        call.started_at = Some(at);
    }

    fn keep(&mut self, kind: EventKind, id: Option<String>, link: Option<Link>) {
        self.artifacts.insert((kind, id, link.expect("a link")));
    }

    /// Whether this is what the script did; otherwise the difference.
    pub(crate) fn check(mut self, facts: &Facts) -> Result<(), String> {
        self.pair();
        let expected = Self::expected(facts, &self);
        if self == expected { Ok(()) } else { Err(format!("learned {self:#?}\nbut it was {expected:#?}")) }
    }

    fn expected(facts: &Facts, learned: &Self) -> Self {
        let stays = facts.stays.iter().map(|stay| {
            let who = stay.participant.as_ref().map_or(stay.jid.as_str(), |id| id.as_str()).to_owned();
            let expected_entry = Stay {
                user: stay.user.as_ref().map(ToString::to_string),
                left_at: stay.left_at,
                reason: stay.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            };
            ((who, stay.breakout.as_ref().map(ToString::to_string), stay.joined_at), expected_entry)
        });
        let calls = facts.calls.iter().map(|call| {
            let expected_entry = Call {
                kind: Some(call.kind),
                address: Some(call.address.clone()),
                started_at: Some(call.started_at),
                ended_at: call.ended_at,
            };
            (call.participant.to_string(), expected_entry)
        });
        let mut expected = Self {
            opened_at: facts.opened_at,
            ended_at: facts.ended_at,
            stays: stays.collect(),
            calls: calls.collect(),
            devices: facts.devices.clone(),
            artifacts: facts
                .artifacts
                .iter()
                .map(|file| (file.kind, file.id.clone(), file.link.clone()))
                .collect(),
            ..Self::default()
        };
        // The facts only count these; where the counts agree, the learned values are copied.
        if learned.poll_counts() == facts_polls(facts) {
            expected.polls.clone_from(&learned.polls);
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for reaction in learned.reactions.values().flatten() {
            *counts.entry(reaction.clone()).or_default() += 1;
        }
        if counts == facts.reactions {
            expected.reactions.clone_from(&learned.reactions);
        }
        if learned.ratings.values().copied().eq(facts.ratings.iter().copied()) {
            expected.ratings.clone_from(&learned.ratings);
        }
        expected
    }

    fn poll_counts(&self) -> BTreeMap<String, (usize, BTreeMap<i64, usize>)> {
        let count = |answers: &BTreeMap<String, (Timestamp, BTreeSet<i64>)>| {
            let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
            for key in answers.values().flat_map(|(_, ticked)| ticked) {
                *votes.entry(*key).or_default() += 1;
            }
            (answers.len(), votes)
        };
        self.polls.iter().map(|(poll, answers)| (poll.clone(), count(answers))).collect()
    }
}

fn facts_polls(facts: &Facts) -> BTreeMap<String, (usize, BTreeMap<i64, usize>)> {
    let counted =
        |votes: &BTreeMap<i64, usize>| votes.iter().filter(|(_, n)| **n > 0).map(|(k, n)| (*k, *n)).collect();
    facts.polls.iter().map(|poll| (poll.id.to_string(), (poll.voters, counted(&poll.votes)))).collect()
}

fn edge(participant: Participant, room: &Room, at: Timestamp) -> (Edge, Option<String>) {
    let jid = participant.participant_full_jid.map(jaas_core::Jid::into_string);
    let who = participant.participant_id.map(ParticipantId::into_string).or(jid).expect("an address");
    ((who, room.breakout_id().map(ToString::to_string), at), participant.id.map(|id| id.to_string()))
}

/// `40364… (+40364…)` is one number.
fn number(nick: jaas_core::Personal) -> String {
    nick.into_exposed().split(' ').next().unwrap_or_default().to_owned()
}
