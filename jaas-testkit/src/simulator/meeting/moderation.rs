//! What moderators may do to others, and the subject of the room.

use jaas_core::event::DisconnectReason;
use jaas_core::{Jid, ParticipantId, Personal};
use serde_json::{Value, json};

use super::Meeting;
use super::presence::Presence;
use crate::event;

impl Meeting {
    /// A moderator removes a participant.
    pub fn kick(&mut self, by: Presence, whom: Presence) {
        self.assert_moderator(by, "kick");
        assert!(by != whom, "no one kicks themselves");
        self.depart(whom, DisconnectReason::Kicked);
    }

    /// A moderator makes another participant a moderator; both are in the main room. Their `moderator` claim is
    /// unchanged (asserted by jitsi-meet's tests).
    pub fn promote(&mut self, by: Presence, whom: Presence) {
        self.assert_moderator(by, "promote");
        self.assert_in_main_room(by);
        self.assert_in_main_room(whom);
        self.assert_active(whom);
        assert!(!self.chain(whom).is_moderator(), "{whom:?} is a moderator already");
        let mut changed = event::role_changed();
        for (side, presence) in [("data.grantedBy", by), ("data.grantedTo", whom)] {
            let chain = self.chain(presence);
            let (jid, participant, user) = (chain.full_jid(), chain.participant_id(), chain.user_id());
            let mut party = json!({ "participantJid": jid });
            if !self.odd(30) {
                party["participantId"] = participant.map(ParticipantId::into_string).into();
                if let Some(user) = user {
                    party["id"] = user.into_string().into();
                }
            }
            changed = changed.set(side, party);
        }
        self.emit(changed);
        self.chain_mut(whom).promoted = true;
    }

    /// A participant in the main room changes its subject; `None` clears it.
    pub fn set_subject(&mut self, by: Presence, subject: Option<&str>) {
        self.assert_in_main_room(by);
        self.assert_active(by);
        let chain = self.chain(by).clone();
        let update = event::participant_subject_update().with(|update| {
            update.participant_jid = Some(Jid::new(chain.jid.as_str()));
            update.name = chain.name();
            update.email = chain.email();
            update.id = chain.user_id();
            update.group = chain.person.claims.get("group").and_then(Value::as_str).map(str::to_owned);
            update.subject = subject.map(Personal::new);
        });
        let update = self.in_room_event(update, None);
        self.emit(update);
    }

    /// Whether this is a moderator, by JWT or promotion.
    pub fn is_moderator(&self, presence: Presence) -> bool {
        self.chain(presence).is_moderator()
    }

    pub(super) fn assert_moderator(&self, presence: Presence, action: &str) {
        self.assert_here(presence);
        assert!(self.chain(presence).is_moderator(), "only moderators may {action}; {presence:?} is not one");
    }
}
