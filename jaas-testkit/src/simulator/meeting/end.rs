//! The end, and what comes after it.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::event::{AggregatedReaction, DisconnectReason, EventKind, SpeakerStat};
use jaas_core::{Jid, Timestamp};
use serde_json::json;

use super::Meeting;
use crate::event;
use crate::simulator::facts::TalkFact;

impl Meeting {
    /// Ends the meeting: recordings and streams stop, the remaining participants leave, the rooms close; then come the
    /// lists and files of the whole meeting.
    ///
    /// - `SPEAKER_STATS` if a participant [spoke](Self::speak)
    /// - `TRANSCRIPTION_UPLOADED` if there was a [transcription](Self::start_transcription)
    /// - `CHAT_UPLOADED` if a participant [wrote](Self::chat)
    /// - `AGGREGATED_REACTIONS` if a participant [reacted](Self::react)
    /// - `SCREEN_SHARING_HISTORY` if a [screen was shared](Self::share_screen) during a recording
    pub fn end(&mut self) {
        self.assert_running();
        for waiting in self.waiting() {
            self.give_up(waiting);
        }
        self.stop_capturing();
        for call in self.calls() {
            self.hang_up(call);
        }
        let mut present = self.present();
        self.dice.shuffle(&mut present);
        for presence in present {
            self.depart(presence, DisconnectReason::Left);
        }
        for breakout in self.open_breakouts() {
            self.destroy_breakout(breakout);
        }
        self.wait(Duration::from_secs(2));

        let destroyed = event::room_destroyed().set("data.mediaTypes", json!(self.media_types()));
        let mut destroyed = self.in_room_event(destroyed, None);
        if self.odd(20) {
            destroyed = destroyed.set("data.mediaTypes", json!({}));
        }
        let destroyed = self.maybe_without(destroyed, &["data.mediaTypes"]);
        let ended = self.emit(destroyed);
        self.ended_at = Some(ended);
        self.report_speakers(ended);
        self.upload(ended);
    }

    /// Who spoke for how long.
    pub(super) fn talk(&self) -> Vec<TalkFact> {
        let spoke = self.presences.iter().filter(|chain| !chain.spoke.is_zero());
        let fact = |chain: &super::presence::Chain| {
            TalkFact::new(Jid::new(chain.full_jid()), chain.participant_id(), chain.user_id(), chain.spoke)
        };
        spoke.map(fact).collect()
    }

    fn report_speakers(&mut self, ended: Timestamp) {
        let spoke = self.presences.iter().filter(|chain| !chain.spoke.is_zero());
        let spoke: BTreeMap<Jid, SpeakerStat> = spoke
            .map(|chain| {
                let mut stat = SpeakerStat::default();
                stat.time = i64::try_from(chain.spoke.as_millis()).ok();
                // A participant without a JWT user has a time and nothing else (seen in the sender's modules).
                if let Some(user) = chain.user_id() {
                    stat.id = Some(user);
                    stat.name = chain.name();
                    stat.email = chain.email();
                }
                (Jid::new(chain.full_jid()), stat)
            })
            .collect();
        if !spoke.is_empty() {
            let stats = event::speaker_stats().with(|stats| stats.0 = spoke);
            self.emit_at(ended.saturating_add(Duration::from_millis(300)), stats);
        }
    }

    fn upload(&mut self, ended: Timestamp) {
        let [transcription, chat, reactions, screenshots] =
            [(); 4].map(|()| ended.saturating_add(Duration::from_millis(self.dice.between(5_000..=120_000))));
        self.upload_transcription(transcription);
        if self.chatted {
            let link = self.artifact(EventKind::ChatUploaded, None);
            self.emit_at(chat, event::chat_uploaded().linked_to(link.expose()));
        }
        if !self.reactions.is_empty() {
            let all: Vec<AggregatedReaction> = self
                .reactions
                .iter()
                .map(|reacted| {
                    let chain = self.chain(reacted.by);
                    let mut one = AggregatedReaction::default();
                    one.user_id = chain.user_id();
                    one.participant_name = chain.name();
                    one.timestamp = Some(reacted.at);
                    one.reaction = Some(reacted.reaction.clone());
                    one
                })
                .collect();
            self.emit_at(reactions, event::aggregated_reactions().with(|list| list.0 = all));
        }
        self.upload_screenshots(screenshots);
    }
}
