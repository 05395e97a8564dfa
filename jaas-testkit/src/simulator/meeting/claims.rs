//! Who an event is about.

use jaas_core::BreakoutRoomId;
use serde_json::Value;

use super::Meeting;
use super::presence::Presence;
use crate::event;
use crate::simulator::person::Person;

impl Meeting {
    /// The participant who joined or left: the claims of the JWT, overridden by what the sender knows.
    pub(super) fn about_participant<P>(
        &mut self,
        event: event::EventBuilder<P>,
        presence: Presence,
    ) -> event::EventBuilder<P> {
        let chain = self.chain(presence).clone();
        let event = self.with_claims(event, &chain.person);
        let event = event
            .set("data.participantJid", chain.jid.as_str())
            .set("data.participantFullJid", chain.full_jid());
        let event = match chain.participant_id() {
            Some(id) => event.set("data.participantId", id.into_string()),
            None => event.without("data.participantId"),
        };
        if chain.visitor {
            return event.set("data.isVisitor", true).without("data.conference").without("data.flip");
        }
        event.set("data.flip", chain.flips)
    }

    /// The claims of a JWT; the sender copies every claim it finds.
    pub(super) fn with_claims<P>(
        &mut self,
        event: event::EventBuilder<P>,
        person: &Person,
    ) -> event::EventBuilder<P> {
        let known = [("name", &person.name), ("email", &person.email), ("id", &person.user_id)];
        let mut event = ["avatar", "group", "hidden-from-recorder", "moderator"]
            .into_iter()
            .fold(event, |event, claim| event.without(&format!("data.{claim}")));
        for (claim, value) in known {
            let path = format!("data.{claim}");
            event = match value {
                Some(value) => event.set(&path, value.as_str()),
                // `null` and "" both mean none.
                None if claim != "id" && self.odd(25) => event.set(&path, ""),
                None if claim != "id" && self.odd(25) => event.set(&path, Value::Null),
                None => event.without(&path),
            };
        }
        if let Some(claim) = person.moderator.write() {
            event = event.set("data.moderator", claim);
        }
        if person.claims.is_empty() {
            return event;
        }
        // All together, because a claim's name may contain a dot.
        let mut data = event.json()["data"].take();
        if let Some(fields) = data.as_object_mut() {
            fields.extend(person.claims.clone());
        }
        event.set("data", data)
    }

    pub(super) fn in_room_of<P>(
        &mut self,
        event: event::EventBuilder<P>,
        presence: Presence,
        breakout: Option<&BreakoutRoomId>,
    ) -> event::EventBuilder<P> {
        if self.chain(presence).visitor {
            return event.without("data.isBreakout").without("data.breakoutRoomId");
        }
        let event = self.in_room_event(event, breakout);
        let optional = if self.chain(presence).flips { &[][..] } else { &["data.conference", "data.flip"] };
        self.maybe_without(event, optional)
    }
}
