//! What must be true in every meeting, checked on the events alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jaas_core::event::{DisconnectReason, Event, EventKind, Participant};
use jaas_core::{Delivery, Jid, Room, Timestamp};

/// Checks the events of one meeting, earliest first.
pub(crate) fn check(deliveries: &[Delivery]) -> Result<(), String> {
    let mut world = World::default();
    for (index, delivery) in deliveries.iter().enumerate() {
        world.see(delivery).map_err(|broken| {
            let envelope = &delivery.envelope;
            format!("event {index}, {} at {:?}: {broken}", envelope.event_type, envelope.timestamp)
        })?;
    }
    world.finish()
}

type Checked = Result<(), String>;

fn ensure(holds: bool, broken: &str) -> Checked {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

fn some<T>(value: Option<T>, what: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("no {what}"))
}

#[derive(Default)]
struct World {
    now: Option<Timestamp>,
    keys: BTreeSet<String>,
    session: Option<String>,
    room_key: Option<String>,
    opened: bool,
    closed: Option<Timestamp>,
    breakouts: BTreeMap<String, bool>,
    /// The participants who are present: by endpoint id, or by address for visitors.
    present: BTreeMap<String, Occupant>,
    endpoints: BTreeSet<String>,
    endpoint_of: BTreeMap<Jid, jaas_core::ParticipantId>,
    left: BTreeSet<String>,
    /// Time in the main room by full address.
    main_room: BTreeMap<Jid, Duration>,
    users: BTreeSet<String>,
    promoted: BTreeSet<Jid>,
    switching: BTreeSet<Jid>,
    lobby: BTreeSet<String>,
    calls: BTreeMap<String, EventKind>,
    recording: Option<Timestamp>,
    recorded: Vec<(Timestamp, Timestamp)>,
    uploaded: BTreeMap<String, (Timestamp, Timestamp)>,
    streaming: bool,
    transcriber: Option<String>,
    transcribed: bool,
    polls: BTreeMap<String, Vec<Option<i64>>>,
    reactions: Vec<(Option<String>, Timestamp, String)>,
    documents: BTreeMap<String, bool>,
    after_the_end: BTreeSet<EventKind>,
    /// The new device of a call that is being moved.
    flipped_to: Option<Jid>,
}

struct Occupant {
    jid: Jid,
    room: Room,
    moderator: bool,
    since: Timestamp,
}

impl World {
    fn see(&mut self, delivery: &Delivery) -> Checked {
        let envelope = &delivery.envelope;
        let at = some(envelope.timestamp, "timestamp")?;
        ensure(self.now.is_none_or(|now| now < at), "two events at one time, or time running backwards")?;
        self.now = Some(at);
        ensure(self.keys.insert(envelope.idempotency_key.to_string()), "a key for the second time")?;
        let session = some(envelope.session_id.as_ref(), "session")?.to_string();
        ensure(*self.session.get_or_insert(session.clone()) == session, "another session")?;
        let room = envelope.fqn.room_key();
        ensure(*self.room_key.get_or_insert(room.clone()) == room, "another room")?;
        ensure(envelope.app_id.is_some(), "no tenant")?;

        let event = delivery.event();
        ensure(event.kind() == envelope.kind && envelope.kind != EventKind::Unknown, "it cannot be typed")?;
        let opens = matches!(&event, Event::RoomCreated(created) if !created.room.is_breakout());
        ensure(self.opened || opens, "before the room opened")?;
        if self.closed.is_some() {
            ensure(AFTER_THE_END.contains(&envelope.kind), "after the room closed")?;
            if ONCE.contains(&envelope.kind) {
                ensure(self.after_the_end.insert(envelope.kind), "for the second time")?;
            }
        } else {
            ensure(!ONCE.contains(&envelope.kind), "before the room closed")?;
        }
        self.apply(&event, at)
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Checked {
        match event {
            Event::RoomCreated(created) => match breakout(&created.room)? {
                None => {
                    ensure(!self.opened, "opened twice")?;
                    self.opened = true;
                    Ok(())
                }
                Some(id) => ensure(self.breakouts.insert(id, true).is_none(), "a breakout room opened twice"),
            },
            Event::RoomDestroyed(destroyed) => match breakout(&destroyed.room)? {
                None => {
                    ensure(self.closed.is_none(), "closed twice")?;
                    ensure(
                        self.breakouts.values().all(|open| !open),
                        "a breakout room outlives the meeting",
                    )?;
                    let vanished: Vec<String> = self.present.keys().cloned().collect();
                    for who in vanished {
                        self.depart(&who, at)?;
                    }
                    self.closed = Some(at);
                    Ok(())
                }
                Some(id) => {
                    let inside = |occupant: &Occupant| breakout(&occupant.room) == Ok(Some(id.clone()));
                    ensure(
                        !self.present.values().any(inside),
                        "a breakout room closed with a participant in it",
                    )?;
                    ensure(self.breakouts.insert(id, false) == Some(true), "it was not open")
                }
            },
            Event::ParticipantJoined(joined) => self.join(&joined.participant, &joined.room, at),
            Event::ParticipantLeft(left) => self.leave(left, at),
            Event::ParticipantJoinedLobby(joined) => {
                ensure(joined.participant.moderator != Some(true), "a moderator in the lobby")?;
                let id = some(joined.participant.participant_id.as_ref(), "endpoint id")?;
                ensure(self.lobby.insert(id.to_string()), "waits already")
            }
            Event::ParticipantLeftLobby(left) => {
                let id = some(left.participant.participant_id.as_ref(), "endpoint id")?;
                ensure(self.lobby.remove(id.as_str()), "did not wait")
            }
            Event::RoleChanged(changed) => {
                let by =
                    some(changed.granted_by.as_ref().and_then(|by| by.participant_jid.clone()), "granter")?;
                let to =
                    some(changed.granted_to.as_ref().and_then(|to| to.participant_jid.clone()), "grantee")?;
                ensure(self.is_moderator(&by), "granted by a participant who is not a moderator")?;
                ensure(
                    self.is_in_main_room(&to) && !self.is_moderator(&to),
                    "granted to a moderator or to no participant",
                )?;
                ensure(self.promoted.insert(to), "granted twice")
            }
            Event::ParticipantSubjectUpdate(update) => {
                self.bare_is_in_main_room(update.participant_jid.as_ref())
            }
            _ => self.apply_more(event, at),
        }
    }

    fn apply_more(&mut self, event: &Event, at: Timestamp) -> Checked {
        match event {
            Event::DialInStarted(call) => {
                self.begin_call(EventKind::DialInStarted, call.participant_id.as_ref())
            }
            Event::DialOutStarted(call) => {
                self.begin_call(EventKind::DialOutStarted, call.participant_id.as_ref())
            }
            Event::SipCallInStarted(call) => {
                self.begin_call(EventKind::SipCallInStarted, call.participant_id.as_ref())
            }
            Event::SipCallOutStarted(call) => {
                self.begin_call(EventKind::SipCallOutStarted, call.participant_id.as_ref())
            }
            Event::DialInEnded(call) => self.end_call(EventKind::DialInStarted, call.participant_id.as_ref()),
            Event::DialOutEnded(call) => {
                self.end_call(EventKind::DialOutStarted, call.participant_id.as_ref())
            }
            Event::SipCallInEnded(call) => {
                self.end_call(EventKind::SipCallInStarted, call.participant_id.as_ref())
            }
            Event::SipCallOutEnded(call) => {
                self.end_call(EventKind::SipCallOutStarted, call.participant_id.as_ref())
            }
            Event::RecordingStarted(_) => {
                ensure(self.recording.replace(at).is_none(), "two recordings at the same time")
            }
            Event::RecordingEnded(_) => {
                let began = some(self.recording.take(), "recording runs")?;
                self.recorded.push((began, at));
                Ok(())
            }
            Event::RecordingUploaded(uploaded) => {
                let end = some(uploaded.end_timestamp, "end")?;
                let position = self.recorded.iter().position(|(_, ended)| *ended == end);
                let (began, ended) = self.recorded.remove(some(position, "recording ended then")?);
                ensure(
                    uploaded.start_timestamp.is_none_or(|start| start == began),
                    "it began at another time",
                )?;
                ensure(
                    uploaded.duration() == Some(truncated(ended.duration_since(began))),
                    "another length",
                )?;
                ensure(uploaded.pre_authenticated_link.is_some(), "no link")?;
                let id = some(uploaded.recording_session_id.as_ref(), "recording session")?.to_string();
                ensure(self.uploaded.insert(id, (began, ended)).is_none(), "uploaded twice")
            }
            Event::VideoSegmentUploaded(segment) => {
                let id = some(segment.recording_session_id.as_ref(), "recording session")?;
                let (began, ended) = *some(self.uploaded.get(id.as_str()), "recording uploaded before")?;
                let (start, end) =
                    (some(segment.start_timestamp, "start")?, some(segment.end_timestamp, "end")?);
                ensure(began <= start && end <= ended, "a piece of what was not recorded")?;
                ensure(end.duration_since(start) == Duration::from_secs(90), "not 90 seconds")
            }
            Event::LiveStreamStarted(_) => {
                ensure(!std::mem::replace(&mut self.streaming, true), "streams already")
            }
            Event::LiveStreamEnded(_) => {
                ensure(std::mem::replace(&mut self.streaming, false), "does not stream")
            }
            Event::TranscriptionStarted(started) => {
                let id = some(started.participant_id.as_ref(), "transcriber")?.to_string();
                ensure(self.transcriber.replace(id).is_none(), "two transcriptions at the same time")
            }
            Event::TranscriptionEnded(ended) => {
                let id = some(ended.participant_id.as_ref(), "transcriber")?;
                ensure(
                    self.transcriber.take().is_some_and(|running| *id == *running),
                    "another transcriber",
                )?;
                self.transcribed = true;
                Ok(())
            }
            Event::TranscriptionChunkReceived(chunk) => {
                ensure(self.transcriber.is_some(), "no transcription runs")?;
                let speaker =
                    some(chunk.participant.as_ref().and_then(|speaker| speaker.id.as_ref()), "speaker")?;
                let speaker = some(self.present.get(speaker.as_str()), "such participant")?;
                ensure(!speaker.room.is_breakout(), "spoken in a breakout room")
            }
            Event::TranscriptionUploaded(_) => ensure(self.transcribed, "nothing was transcribed"),
            Event::PollCreated(created) => {
                self.bare_is_in_main_room(
                    created.user.as_ref().and_then(|user| user.participant_jid.as_ref()),
                )?;
                let id = some(created.poll_id.as_ref(), "poll")?.to_string();
                let options = created.answers.iter().map(|option| option.key).collect();
                ensure(self.polls.insert(id, options).is_none(), "a poll opened twice")
            }
            Event::PollAnswer(answer) => {
                self.bare_is_in_main_room(
                    answer.user.as_ref().and_then(|user| user.participant_jid.as_ref()),
                )?;
                let options =
                    some(self.polls.get(some(answer.poll_id.as_ref(), "poll")?.as_str()), "such poll")?;
                let answered: Vec<_> = answer.answers.iter().map(|choice| choice.key).collect();
                ensure(*options == answered, "other options than the poll's")
            }
            Event::Reactions(sent) => {
                let jid = some(sent.participant_jid.as_ref(), "address")?;
                ensure(self.present.values().any(|occupant| occupant.jid == *jid), "by no participant")?;
                let user = sent.user_id.as_ref().map(ToString::to_string);
                let sent =
                    sent.reactions.iter().map(|reaction| (user.clone(), at, reaction.as_str().to_owned()));
                self.reactions.extend(sent);
                Ok(())
            }
            Event::AggregatedReactions(all) => {
                let mut listed: Vec<_> = all
                    .0
                    .iter()
                    .map(|one| {
                        let reaction = one.reaction.as_ref().map_or("", |reaction| reaction.as_str());
                        let at = one.timestamp.unwrap_or(Timestamp::from_millis(0));
                        (one.user_id.as_ref().map(ToString::to_string), at, reaction.to_owned())
                    })
                    .collect();
                listed.sort();
                self.reactions.sort();
                ensure(listed == self.reactions, "other reactions than were sent")
            }
            Event::DocumentAdded(added) => {
                let id = some(added.file_id.as_ref(), "file")?.clone();
                ensure(self.documents.insert(id, true).is_none(), "added twice")
            }
            Event::DocumentDeleted(deleted) => {
                let id = some(deleted.file_id.as_ref(), "file")?.clone();
                ensure(self.documents.insert(id, false) == Some(true), "not there")
            }
            Event::Usage(usage) => {
                ensure(!usage.0.is_empty(), "an empty list")?;
                ensure(self.present.len() + self.calls.len() > 1, "a lone participant was billed")?;
                for entry in &usage.0 {
                    ensure(entry.device_id.is_some(), "no device")?;
                    if let Some(id) = &entry.participant_id {
                        let there =
                            self.endpoints.contains(id.as_str()) || self.calls.contains_key(id.as_str());
                        ensure(there, "a person who has not come")?;
                    }
                }
                Ok(())
            }
            Event::RtcstatsUploaded(stats) => {
                let endpoint = some(stats.endpoint_id.as_ref(), "endpoint")?;
                let gone = !self.present.contains_key(endpoint.as_str());
                ensure(gone && self.left.contains(endpoint.as_str()), "a participant who has not left")
            }
            Event::SpeakerStats(stats) => {
                for (jid, stat) in &stats.0 {
                    let there = *some(self.main_room.get(jid), "such participant")?;
                    ensure(stat.time().is_some_and(|spoke| spoke <= there), "spoke longer than was there")?;
                }
                Ok(())
            }
            Event::Feedback(feedback) => {
                let known = |user: &str| self.users.contains(user);
                ensure(feedback.user_id.as_ref().is_none_or(|user| known(user.as_str())), "a stranger")
            }
            _ => Ok(()),
        }
    }

    fn join(&mut self, participant: &Participant, room: &Room, at: Timestamp) -> Checked {
        let jid = some(participant.participant_full_jid.clone(), "address")?;
        let known = self.main_room.contains_key(&jid);
        ensure(
            self.switching.remove(&jid) == known,
            "an address comes back without a change of rooms, or the reverse",
        )?;
        let who = match &participant.participant_id {
            Some(id) => {
                let (new, kept) = (self.endpoints.insert(id.to_string()), self.endpoint_of.get(&jid));
                ensure(new != known, "another endpoint id after a change of rooms, or a known one without")?;
                ensure(kept.is_none_or(|kept| kept == id), "another participant's endpoint id")?;
                self.endpoint_of.insert(jid.clone(), id.clone());
                id.to_string()
            }
            None => {
                ensure(participant.is_visitor == Some(true), "no endpoint id")?;
                jid.to_string()
            }
        };
        if let Some(id) = breakout(room)? {
            ensure(known, "came to a breakout room from outside")?;
            ensure(self.breakouts.get(&id) == Some(&true), "that breakout room is not open")?;
        }
        if participant.flip == Some(true) {
            self.flipped_to = Some(jid.clone());
        }
        self.users.extend(participant.id.as_ref().map(ToString::to_string));
        self.main_room.entry(jid.clone()).or_default();
        let moderator = participant.moderator == Some(true);
        self.present.insert(who, Occupant { jid, room: room.clone(), moderator, since: at });
        Ok(())
    }

    fn leave(&mut self, left: &jaas_core::event::ParticipantLeft, at: Timestamp) -> Checked {
        let participant = &left.participant;
        let jid = some(participant.participant_full_jid.clone(), "address")?;
        let who = participant.participant_id.as_ref().map_or(jid.as_str(), |id| id.as_str()).to_owned();
        if participant.participant_id.is_none() {
            ensure(left.disconnect_reason.is_none(), "a visitor with a reason")?;
        }
        let old = jid.clone();
        let occupant = some(self.present.get(&who), "such participant")?;
        ensure(occupant.room == left.room && occupant.jid == jid, "left another room than they were in")?;
        match &left.disconnect_reason {
            Some(DisconnectReason::SwitchRoom) => {
                self.switching.insert(jid);
            }
            Some(DisconnectReason::Kicked) => {
                let other = |occupant: &Occupant| occupant.jid != jid && self.is_moderator(&occupant.jid);
                ensure(self.present.values().any(other), "no participant was there to kick")?;
            }
            _ => {}
        }
        if participant.flip == Some(true) {
            let new = some(self.flipped_to.take(), "new device came before the old one left")?;
            // The granted role goes along, though no event reports it.
            if self.promoted.contains(&old) {
                self.promoted.insert(new);
            }
        }
        self.depart(&who, at)
    }

    fn depart(&mut self, who: &str, at: Timestamp) -> Checked {
        let occupant = some(self.present.remove(who), "such participant")?;
        self.left.insert(who.to_owned());
        if !occupant.room.is_breakout() {
            *self.main_room.entry(occupant.jid).or_default() += at.duration_since(occupant.since);
        }
        Ok(())
    }

    fn begin_call(&mut self, kind: EventKind, id: Option<&jaas_core::ParticipantId>) -> Checked {
        let id = some(id, "endpoint id")?.to_string();
        ensure(self.endpoints.insert(id.clone()), "an endpoint id for the second time")?;
        self.calls.insert(id, kind);
        Ok(())
    }

    fn end_call(&mut self, began: EventKind, id: Option<&jaas_core::ParticipantId>) -> Checked {
        ensure(self.calls.remove(some(id, "endpoint id")?.as_str()) == Some(began), "no such call")
    }

    fn is_moderator(&self, jid: &Jid) -> bool {
        let claimed = |occupant: &Occupant| occupant.jid == *jid && occupant.moderator;
        self.present.values().any(claimed) || self.promoted.contains(jid)
    }

    fn is_in_main_room(&self, jid: &Jid) -> bool {
        self.present.values().any(|occupant| occupant.jid == *jid && !occupant.room.is_breakout())
    }

    fn bare_is_in_main_room(&self, jid: Option<&Jid>) -> Checked {
        let jid = some(jid, "address")?;
        let there = |occupant: &Occupant| occupant.jid.bare() == jid.bare() && !occupant.room.is_breakout();
        ensure(self.present.values().any(there), "by no participant in the main room")
    }

    fn finish(self) -> Checked {
        ensure(self.closed.is_some(), "the room never closed")?;
        ensure(self.switching.is_empty(), "a participant left for another room and never arrived")?;
        ensure(self.lobby.is_empty(), "a person waits in the lobby forever")?;
        ensure(self.calls.is_empty(), "a call never ended")?;
        ensure(self.recording.is_none() && self.recorded.is_empty(), "a recording was not uploaded")?;
        ensure(!self.streaming && self.transcriber.is_none(), "something runs forever")?;
        ensure(
            self.transcribed == self.after_the_end.contains(&EventKind::TranscriptionUploaded),
            "transcription",
        )?;
        let aggregated = self.after_the_end.contains(&EventKind::AggregatedReactions);
        ensure(aggregated != self.reactions.is_empty(), "reactions without their list, or the reverse")
    }
}

/// What can still come after the room has closed.
const AFTER_THE_END: &[EventKind] = &[
    EventKind::RecordingUploaded,
    EventKind::VideoSegmentUploaded,
    EventKind::RtcstatsUploaded,
    EventKind::Feedback,
    EventKind::SpeakerStats,
    EventKind::TranscriptionUploaded,
    EventKind::ChatUploaded,
    EventKind::AggregatedReactions,
    EventKind::ScreenSharingHistory,
];

/// What comes once, and only then.
const ONCE: &[EventKind] = &[
    EventKind::SpeakerStats,
    EventKind::TranscriptionUploaded,
    EventKind::ChatUploaded,
    EventKind::AggregatedReactions,
    EventKind::ScreenSharingHistory,
];

fn breakout(room: &Room) -> Result<Option<String>, String> {
    match room {
        Room::Main => Ok(None),
        Room::Breakout { id } => some(id.as_ref(), "id of the breakout room").map(|id| Some(id.to_string())),
    }
}

fn truncated(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
