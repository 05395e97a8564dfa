//! `jaas settings`.

use std::time::{Duration, Instant};

use clap::Args;
use jaas_core::telemetry::Escaped;
use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::settings::{SettingsQuestion, check_answer};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::options::{Secrets, To};
use crate::output::Output;
use crate::values;

/// Asks for the settings of a meeting, and checks the answer and its time
#[derive(Debug, Args)]
#[command(after_help = "\
The meeting server waits about 3 s in total, including the transfer of the answer, and then opens the room without passcode
or lobby; so does any answer but 200 with valid settings (seen in the sender's modules).

Examples:
  jaas settings --url http://127.0.0.1:8080/webhooks/jaas --fqn vpaas-magic-cookie-1/math
  jaas settings --url … --fqn … --with-type       # as jitsi-meet's tests ask
  jaas settings --url … --fqn … --unsigned        # it is not published whether questions are signed")]
pub(crate) struct Settings {
    /// The meeting: AppID/room
    #[arg(long, value_name = "FQN")]
    fqn: String,

    /// Asks with "eventType":"SETTINGS_PROVISIONING"
    #[arg(long)]
    with_type: bool,

    /// Asks without a signature, even if a secret is set
    #[arg(long)]
    unsigned: bool,

    /// How long the answer may take
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = values::duration)]
    budget: Duration,

    /// Shows passcode and phone number
    #[arg(long)]
    show_secrets: bool,

    #[command(flatten)]
    to: To,

    #[command(flatten)]
    secrets: Secrets,
}

impl Settings {
    pub(crate) async fn run(&self, output: &Output) -> Result<(), Failure> {
        let target = self.to.target()?;
        let question = SettingsQuestion::about(&self.fqn);
        let question = if self.with_type { question.with_event_type() } else { question };
        let body = question.body();
        let signature = if self.unsigned {
            None
        } else {
            Some(self.secrets.signer()?.sign(SystemClock.now(), body.clone()).signature)
        };
        let began = Instant::now();
        let asked = target.ask(body.into(), signature.as_deref());
        let answered = tokio::time::timeout(self.to.via.timeout, asked).await;
        let (status, answer) = answered.map_err(|_| {
            Failure::no_server(format!(
                "no answer within {:?}; JaaS waits about 3 s and opens the room without passcode or lobby",
                self.to.via.timeout
            ))
        })??;
        let took = began.elapsed();

        let checked = check_answer(status, &answer);
        let in_time = took <= self.budget;
        let shown = self.shown(&answer);
        let json = json!({
            "status": status,
            "ms": took.as_secs_f64() * 1000.0,
            "withinBudget": in_time,
            "valid": checked.is_ok(),
            "problem": checked.as_ref().err().map(ToString::to_string),
            "answer": shown,
        });
        output.result(&json, || {
            let millis = took.as_secs_f64() * 1000.0;
            let answer = shown.as_ref().map_or_else(String::new, |answer| format!("{answer:#}\n"));
            let verdict = match &checked {
                Ok(keys) if keys.is_empty() => {
                    "valid: nothing is set, so the room opens to everyone".to_owned()
                }
                Ok(_) if status == 400 => "valid: people see the message, and the room opens".to_owned(),
                Ok(_) => "valid".to_owned(),
                Err(problem) => format!("not valid: {}", Escaped(problem)),
            };
            let budget = self.budget;
            let time = match in_time {
                true if took * 2 > budget => format!("more than half of the timeout of {budget:?}"),
                true => format!("within the timeout of {budget:?}"),
                false => {
                    format!("longer than the timeout of {budget:?}: the room opens without passcode or lobby")
                }
            };
            format!("{answer}{verdict}\nstatus {status} in {millis:.1} ms, {time}\n")
        })?;
        match (checked, status) {
            (Ok(_), _) if in_time => Ok(()),
            (Err(_), 401) => Err(Failure::no(
                "the question was refused: is this the secret of that endpoint? If it does not accept signed questions, try --unsigned",
            )),
            _ => Err(Failure::already_reported()),
        }
    }

    /// The answer, if it is an object, without the values that only participants should know.
    fn shown(&self, answer: &[u8]) -> Option<Value> {
        let mut keys: Map<String, Value> = serde_json::from_slice(answer).ok()?;
        if !self.show_secrets {
            for secret in ["passcode", "outboundPhoneNo"] {
                if let Some(value) = keys.get_mut(secret) {
                    *value = "…".into();
                }
            }
        }
        Some(keys.into())
    }
}
