//! Commands to a running meeting, over HTTP.
//!
//! Address, method, body and token are documented on <https://developer.8x8.com/jaas/docs/webhooks-jaas-endpoints>. The
//! replies are not: neither their codes nor their bodies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::{AppId, Clock, ParticipantId};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::key::SigningKey;

/// Where JaaS takes commands (documented).
const JAAS: &str = "https://8x8.vc/v1/_jaas";

/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gives commands to meetings of one tenant.
#[derive(Clone)]
pub struct Commands {
    client: Client,
    base: String,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
}

impl Commands {
    /// With this key. The clock is for the times in tokens.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(key: SigningKey, clock: impl Clock) -> Result<Self, reqwest::Error> {
        // Another part of the application may have chosen a provider, and that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without redirects: the token is for 8x8 only.
        let client =
            Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base: JAAS.to_owned(), key: Arc::new(key), clock: Arc::new(clock) })
    }

    /// Sends commands elsewhere, for tests. Defaults to `https://8x8.vc/v1/_jaas`.
    #[must_use]
    pub fn at(mut self, base: impl Into<String>) -> Self {
        self.base = base.into();
        self
    }

    /// The tenant whose meetings it can command.
    pub fn app(&self) -> &AppId {
        self.key.app()
    }

    /// Removes a participant, who sees a message about it (documented). `participant` is the connection, as in
    /// `PARTICIPANT_JOINED`; the same user can come back with another one.
    ///
    /// # Errors
    /// When the command was not accepted; [`CommandError::kind`] says what to do.
    pub async fn kick(&self, room: &str, participant: &ParticipantId) -> Result<(), CommandError> {
        let payload =
            json!({"conferenceFullName": self.conference(room), "participantId": participant.as_str()});
        self.send("KICK_PARTICIPANT", payload).await
    }

    /// Ends a meeting for everyone.
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn destroy(&self, room: &str) -> Result<(), CommandError> {
        self.send("DESTROY", json!({"conferenceFullName": self.conference(room)})).await
    }

    /// `room@conference.<AppID>.8x8.vc` (documented).
    fn conference(&self, room: &str) -> String {
        format!("{room}@conference.{}.8x8.vc", self.app().as_str())
    }

    async fn send(&self, action: &'static str, payload: Value) -> Result<(), CommandError> {
        let failed = |kind, why: String| CommandError { kind, message: format!("{action}: {why}") };
        let token = self.key.admin(self.clock.now()).map_err(|error| {
            failed(CommandErrorKind::Refused, format!("the token cannot be signed: {error}"))
        })?;
        let request = self
            .client
            .post(format!("{}/conference-commands/v1/meeting", self.base))
            .bearer_auth(token)
            .header("Content-Type", "application/json")
            .body(json!({"action": action, "payload": payload}).to_string());
        // The address is left out: it says nothing that the action does not.
        let response = request
            .send()
            .await
            .map_err(|error| failed(CommandErrorKind::Unavailable, error.without_url().to_string()))?;
        let status = response.status();
        let kind = match status {
            _ if status.is_success() => return Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => CommandErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => CommandErrorKind::Unavailable,
            _ if status.is_client_error() || status.is_redirection() => CommandErrorKind::Refused,
            _ => CommandErrorKind::Unavailable,
        };
        let remedy = match kind {
            CommandErrorKind::Refused => {
                "; check that the console has the public key, and that the AppID is that of the meeting"
            }
            _ => "",
        };
        Err(failed(kind, format!("JaaS replied {status}{remedy}")))
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("base", &self.base).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A command that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    kind: CommandErrorKind,
    message: String,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandErrorKind {
    /// Nothing: the meeting or the participant is gone. That 404 means this is not documented.
    NotFound,
    /// Try again: JaaS could not be reached, or is overloaded.
    Unavailable,
    /// Correct the configuration: another try gets the same reply.
    Refused,
}

impl CommandError {
    /// What to do about it.
    pub fn kind(&self) -> CommandErrorKind {
        self.kind
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
