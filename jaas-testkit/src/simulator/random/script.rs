//! What happens next.

use std::time::Duration;

use jaas_core::event::Reaction;

use crate::simulator::dice::Dice;
use crate::simulator::meeting::{Breakout, Meeting, Presence};
use crate::simulator::person::Person;

/// A meeting being played.
pub(super) struct Script {
    pub(super) meeting: Meeting,
    pub(super) dice: Dice,
    pub(super) people: Vec<Person>,
    pub(super) to_come: usize,
}

/// A possible action, and its weight relative to the others.
type Action = (usize, fn(&mut Script) -> bool);

const ACTIONS: [Action; 27] = [
    (24, Script::come),
    (6, Script::rejoin),
    (4, Script::second_tab),
    (2, Script::flip),
    (8, Script::leave),
    (2, Script::lose_connection),
    (2, Script::vanish),
    (2, Script::kick),
    (3, Script::promote),
    (2, Script::subject),
    (6, Script::knock),
    (8, Script::answer_the_door),
    (4, Script::open_breakout),
    (10, Script::switch_room),
    (2, Script::close_breakout),
    (6, Script::record),
    (4, Script::stream),
    (5, Script::transcribe),
    (12, Script::speak),
    (3, Script::chat),
    (4, Script::call),
    (3, Script::hang_up),
    (5, Script::poll),
    (8, Script::react),
    (4, Script::share),
    (3, Script::delete_document),
    (2, Script::rate),
];

impl Script {
    /// Performs one more action; `false` when none is possible, because everyone has left.
    pub(super) fn step(&mut self) -> bool {
        if self.meeting.present().is_empty() {
            return false;
        }
        let pause = self.dice.between(1_000..=180_000);
        self.meeting.wait(Duration::from_millis(pause));
        let total: usize = ACTIONS.iter().map(|(weight, _)| weight).sum();
        // An action that is impossible now is skipped, a few times.
        for _ in 0..8 {
            let mut drawn = self.dice.below(total);
            for (weight, action) in ACTIONS {
                if drawn < weight {
                    if action(self) {
                        return true;
                    }
                    break;
                }
                drawn -= weight;
            }
        }
        true
    }

    pub(super) fn finish(mut self) -> Meeting {
        let rater = self.dice.pick(&self.meeting.gone()).copied();
        self.meeting.end();
        if let Some(rater) = rater
            && self.dice.percent(40)
        {
            self.meeting.wait(Duration::from_secs(4));
            let stars = self.stars();
            self.meeting.rate(rater, stars, "good sound");
        }
        self.meeting
    }

    pub(super) fn come(&mut self) -> bool {
        if self.to_come == 0 {
            return false;
        }
        self.to_come -= 1;
        let person = self.next_person();
        if self.meeting.present().is_empty() || !self.dice.percent(6) {
            self.meeting.join(&person);
        } else {
            self.meeting.join_as_visitor(&person);
        }
        true
    }

    /// The next person of the population, or a guest.
    fn next_person(&mut self) -> Person {
        let guest = self.dice.percent(20);
        match self.people.pop() {
            Some(person) if !guest => person,
            _ if self.dice.percent(60) => Person::guest(),
            _ => Person::guest().shown_as("A guest"),
        }
    }

    fn rejoin(&mut self) -> bool {
        let gone = self.meeting.gone();
        self.with(&gone, |script, who| script.meeting.rejoin(who))
    }

    fn second_tab(&mut self) -> bool {
        let present = self.meeting.present();
        self.with(&present, |script, who| script.meeting.second_tab(who))
    }

    fn flip(&mut self) -> bool {
        let active = self.active();
        self.with(&active, |script, who| script.meeting.flip(who))
    }

    fn leave(&mut self) -> bool {
        let present = self.meeting.present();
        self.with(&present, |script, who| script.meeting.leave(who))
    }

    fn lose_connection(&mut self) -> bool {
        let present = self.meeting.present();
        self.with(&present, |script, who| script.meeting.lose_connection(who))
    }

    fn vanish(&mut self) -> bool {
        let active = self.active();
        self.with(&active, |script, who| script.meeting.vanish(who))
    }

    fn kick(&mut self) -> bool {
        let Some(by) = self.moderator() else { return false };
        let others: Vec<_> = self.meeting.present().into_iter().filter(|who| *who != by).collect();
        self.with(&others, |script, who| script.meeting.kick(by, who))
    }

    fn promote(&mut self) -> bool {
        let active = self.active();
        let (moderators, others): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|who| self.meeting.is_moderator(*who));
        let Some(by) = self.dice.pick(&moderators).copied() else { return false };
        self.with(&others, |script, who| script.meeting.promote(by, who))
    }

    fn subject(&mut self) -> bool {
        let active = self.active();
        let clear = self.dice.percent(30);
        self.with(&active, |script, who| script.meeting.set_subject(who, (!clear).then_some("Exercise 2")))
    }

    fn knock(&mut self) -> bool {
        if self.to_come == 0 {
            return false;
        }
        let person = self.next_person();
        if person.moderator.is_moderator() {
            self.people.push(person);
            return false;
        }
        self.to_come -= 1;
        self.meeting.knock(&person);
        true
    }

    fn answer_the_door(&mut self) -> bool {
        let Some(who) = self.dice.pick(&self.meeting.waiting()).copied() else { return false };
        match (self.moderator(), self.dice.below(5)) {
            (Some(by), 0) => self.meeting.turn_away(by, who),
            (Some(by), 1..=3) => {
                self.meeting.admit(by, who);
            }
            _ => self.meeting.give_up(who),
        }
        true
    }

    fn open_breakout(&mut self) -> bool {
        let few = self.meeting.open_breakouts().len() < 3;
        if few {
            self.meeting.open_breakout();
        }
        few
    }

    fn switch_room(&mut self) -> bool {
        let rooms: Vec<Option<Breakout>> =
            self.meeting.open_breakouts().into_iter().map(Some).chain([None]).collect();
        let Some(to) = self.dice.pick(&rooms).copied() else { return false };
        let movable: Vec<_> = self
            .meeting
            .present()
            .into_iter()
            .filter(|who| !self.meeting.is_visitor(*who) && self.meeting.breakout_of(*who) != to)
            .collect();
        self.with(&movable, |script, who| match to {
            Some(breakout) => script.meeting.move_to(who, breakout),
            None => script.meeting.move_back(who),
        })
    }

    fn close_breakout(&mut self) -> bool {
        let breakout = self.dice.pick(&self.meeting.open_breakouts()).copied();
        breakout.map(|breakout| self.meeting.close_breakout(breakout)).is_some()
    }

    fn record(&mut self) -> bool {
        if self.meeting.is_recording() {
            // Long enough, now and then, for segments to be cut from it.
            if self.dice.percent(40) {
                let long = self.dice.between(600_000..=2_400_000);
                self.meeting.wait(Duration::from_millis(long));
            }
            self.meeting.stop_recording();
            return true;
        }
        let by = self.moderator();
        by.map(|by| self.meeting.start_recording(by)).is_some()
    }

    fn stream(&mut self) -> bool {
        if self.meeting.is_streaming() {
            self.meeting.stop_stream();
            return true;
        }
        let by = self.moderator();
        by.map(|by| self.meeting.start_stream(by)).is_some()
    }

    fn transcribe(&mut self) -> bool {
        if self.meeting.is_transcribing() {
            self.meeting.stop_transcription();
            return true;
        }
        let by = self.moderator();
        by.map(|by| self.meeting.start_transcription(by)).is_some()
    }

    fn speak(&mut self) -> bool {
        let active = self.active();
        let time = Duration::from_millis(self.dice.between(500..=40_000));
        self.with(&active, |script, who| script.meeting.speak(who, " Let us begin.", time))
    }

    fn chat(&mut self) -> bool {
        let present = self.meeting.present();
        self.with(&present, |script, who| script.meeting.chat(who))
    }

    fn call(&mut self) -> bool {
        let number = format!("1555010{:04}", self.dice.below(10_000));
        match self.dice.below(4) {
            0 => self.meeting.dial_in(&number),
            1 => self.meeting.dial_out(&number),
            2 => self.meeting.sip_in(&format!("sip:room-{number}@sip.example.com")),
            _ => self.meeting.sip_out(&format!("sip:service-{number}@sip.example.com")),
        };
        true
    }

    fn hang_up(&mut self) -> bool {
        let call = self.dice.pick(&self.meeting.calls()).copied();
        call.map(|call| self.meeting.hang_up(call)).is_some()
    }

    fn poll(&mut self) -> bool {
        let active = self.active();
        let polls = self.meeting.polls();
        let (open, ticked) = (self.dice.percent(30), self.dice.below(4));
        let Some(who) = self.dice.pick(&active).copied() else { return false };
        match self.dice.pick(&polls).copied() {
            Some(poll) if !open => {
                let options = self.meeting.poll_options(poll);
                self.meeting.answer_poll(who, poll, &(0..options.min(ticked)).collect::<Vec<_>>());
            }
            _ => {
                self.meeting.open_poll(who, "How often?", &["Once", "Twice", "Every day"]);
            }
        }
        true
    }

    fn react(&mut self) -> bool {
        const ALL: [Reaction; 7] = [
            Reaction::Like,
            Reaction::Clap,
            Reaction::Laugh,
            Reaction::Surprised,
            Reaction::Boo,
            Reaction::Silence,
            Reaction::Love,
        ];
        let reactions: Vec<Reaction> =
            (0..=self.dice.below(3)).filter_map(|_| self.dice.pick(&ALL).cloned()).collect();
        let active = self.active();
        self.with(&active, |script, who| script.meeting.react(who, &reactions))
    }

    fn share(&mut self) -> bool {
        let active = self.active();
        let screen = self.dice.percent(50);
        self.with(&active, |script, who| {
            if screen {
                script.meeting.share_screen(who);
            } else {
                script.meeting.share_document(who, "worksheet.pdf");
            }
        })
    }

    fn delete_document(&mut self) -> bool {
        let active = self.active();
        let Some(document) = self.dice.pick(&self.meeting.documents()).copied() else { return false };
        self.with(&active, |script, who| script.meeting.delete_document(who, document))
    }

    fn rate(&mut self) -> bool {
        let present = self.meeting.present();
        let stars = self.stars();
        self.with(&present, |script, who| script.meeting.rate(who, stars, "clear at last"))
    }

    fn stars(&mut self) -> Option<u8> {
        u8::try_from(self.dice.below(6)).ok().filter(|stars| *stars > 0)
    }

    /// Lets one of these participants act.
    fn with<R>(&mut self, these: &[Presence], act: impl FnOnce(&mut Self, Presence) -> R) -> bool {
        let who = self.dice.pick(these).copied();
        who.map(|who| act(self, who)).is_some()
    }

    /// The participants in the main room who do not only watch.
    fn active(&self) -> Vec<Presence> {
        let meeting = &self.meeting;
        let active = |who: &Presence| !meeting.is_visitor(*who) && meeting.breakout_of(*who).is_none();
        meeting.present().into_iter().filter(active).collect()
    }

    fn moderator(&mut self) -> Option<Presence> {
        let meeting = &self.meeting;
        let moderators: Vec<_> =
            meeting.present().into_iter().filter(|who| meeting.is_moderator(*who)).collect();
        self.dice.pick(&moderators).copied()
    }
}
