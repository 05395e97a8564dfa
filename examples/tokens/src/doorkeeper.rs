//! A handler that gives commands: it removes users who may not be there, and ends meetings in rooms that are closed.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{ParticipantJoined, RoomCreated};
use jaas_core::{Clock, Context, EventHandler, Handled, HandlerError, HandlerResult, UserId, room_key};

use crate::commands::{CommandError, CommandErrorKind, Commands};

/// An event that is older than this gives no command. A room is known by its name only, so a late command would end the
/// *next* meeting in it.
const CURRENT: Duration = Duration::from_secs(5 * 60);

/// Mount it as a plain handler, with a timeout above that of the commands:
/// `Handlers::new().plain("doorkeeper", doorkeeper).timeout("doorkeeper", Duration::from_secs(15))`.
///
/// A plain handler may run again for the same event. The commands allow that: who is removed already is not there.
#[derive(Debug)]
#[must_use]
pub struct Doorkeeper<C> {
    commands: Commands,
    clock: C,
    banned: BTreeSet<UserId>,
    closed: BTreeSet<String>,
}

impl<C: Clock> Doorkeeper<C> {
    /// Lets everyone in, everywhere.
    pub fn new(commands: Commands, clock: C) -> Self {
        Self { commands, clock, banned: BTreeSet::new(), closed: BTreeSet::new() }
    }

    /// Removes this user from every meeting. By default nobody is removed.
    pub fn ban(mut self, user: impl Into<UserId>) -> Self {
        self.banned.insert(user.into());
        self
    }

    /// Ends every meeting in this room. By default no room is closed.
    pub fn close(mut self, room: &str) -> Self {
        self.closed.insert(room_key(room));
        self
    }

    /// Why this event gives no command, if it gives none.
    fn passed(&self, cx: &Context<'_>) -> Option<&'static str> {
        if cx.envelope().app_id.as_ref() != Some(self.commands.app()) {
            return Some("a meeting of another tenant");
        }
        let age = self.clock.now().duration_since(cx.delivery().occurred_at());
        (age > CURRENT).then_some("too old for a command")
    }
}

#[async_trait]
impl<C: Clock> EventHandler for Doorkeeper<C> {
    async fn participant_joined(&self, cx: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        if !event.participant.id.as_ref().is_some_and(|id| self.banned.contains(id)) {
            return Ok(Handled::ignored("not banned"));
        }
        if let Some(why) = self.passed(cx) {
            return Ok(Handled::ignored(why));
        }
        // Visitors do not have one, and no command for them is documented.
        let Some(participant) = &event.participant.participant_id else {
            return Ok(Handled::ignored("a visitor, whom no command removes"));
        };
        given(self.commands.kick(cx.envelope().fqn.room(), participant).await)
    }

    async fn room_created(&self, cx: &mut Context<'_>, event: &RoomCreated) -> HandlerResult {
        if event.room.is_breakout() || !self.closed.contains(&cx.envelope().fqn.room_key()) {
            return Ok(Handled::ignored("not closed"));
        }
        if let Some(why) = self.passed(cx) {
            return Ok(Handled::ignored(why));
        }
        given(self.commands.destroy(cx.envelope().fqn.room()).await)
    }
}

fn given(result: Result<(), CommandError>) -> HandlerResult {
    let Err(error) = result else { return Ok(Handled::Done) };
    match error.kind() {
        CommandErrorKind::NotFound => Ok(Handled::ignored("gone already")),
        CommandErrorKind::Unavailable => Err(HandlerError::retry(error)),
        _ => Err(HandlerError::permanent(error)),
    }
}
