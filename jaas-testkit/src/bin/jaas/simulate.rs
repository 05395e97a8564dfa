//! `jaas simulate`.

mod expected;
mod links;
mod table;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use jaas_core::{Backoff, Timestamp};
use jaas_testkit::simulator::{Day, Facts, Meeting, Report, Sender, SignRepeats, bodies_in_order};
use serde_json::json;

use crate::failure::{self, Failure};
use crate::options::{Secrets, Via};
use crate::output::Output;
use crate::values;

/// Plays a day of random meetings and delivers their events as JaaS does
#[derive(Debug, Args)]
#[command(after_help = "\
The same seed and options give the same bodies, byte for byte; the report has their SHA-256. 8x8 documents only that JaaS
retries with exponential back-off when it is refused: set the attempts and waits here.

Examples:
  jaas simulate --url http://127.0.0.1:8080/webhooks/jaas --meetings 200 --participants 2..30 \\
      --rate 500 --duplicates 5% --shuffle 30% --seed 7
  jaas simulate --url … --expect --report out.json     # and what your application should have learned
  jaas simulate --url … --lose-answers 2% --late 5%    # over a bad connection
  jaas simulate --meetings 3 --seed 7 --dry-run        # one body per line, sends nothing")]
pub(crate) struct Simulate {
    /// How many meetings
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    meetings: usize,

    /// How many people come to each
    #[arg(long, value_name = "FROM..TO", default_value = "2..8", value_parser = values::range)]
    participants: RangeInclusive<usize>,

    /// The seed of all random choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// The tenant: vpaas-magic-cookie-…; otherwise that of the fixtures
    #[arg(long, value_name = "APPID")]
    app: Option<String>,

    /// When the day begins; it lasts ten hours
    #[arg(long, value_name = "TIME", default_value = "2026-11-23T08:00:00Z", value_parser = values::time)]
    start: Timestamp,

    /// Where links to files lead, such as to `jaas files`; otherwise to hosts like those of JaaS, with tokens that are made up
    #[arg(long, value_name = "URL", value_parser = server)]
    links_to: Option<String>,

    /// How many deliveries begin per second; otherwise as many as the server accepts
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    rate: Option<f64>,

    /// How many requests are in flight at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    concurrency: usize,

    /// The share of deliveries that are repeated
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    duplicates: f64,

    /// The share of deliveries that change places
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    shuffle: f64,

    /// The share of deliveries that arrive late
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    late: f64,

    /// The maximum delay of late deliveries
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    late_by: Duration,

    /// The share of requests that never arrive
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    lose_requests: f64,

    /// The share of responses that never come back
    #[arg(long, value_name = "PART", default_value = "0%", value_parser = values::part)]
    lose_answers: f64,

    /// The maximum number of attempts per delivery
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,

    /// The wait before the first retry; each further wait is twice as long, plus a random part
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = values::duration)]
    first_wait: Duration,

    /// The time in the signature of a retry
    #[arg(long, value_enum, value_name = "TIME", default_value = "new")]
    repeat_with: RepeatWith,

    /// Writes the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Prints what the application should have learned
    #[arg(long)]
    expect: bool,

    /// Prints the bodies, one per line in the order they would be sent, and sends nothing
    #[arg(long)]
    dry_run: bool,

    /// The URL to post to
    #[arg(long, value_name = "URL", required_unless_present = "dry_run")]
    url: Option<String>,

    #[command(flatten)]
    via: Via,

    #[command(flatten)]
    secrets: Secrets,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RepeatWith {
    /// The time of the retry
    New,
    /// The time of the first request
    Old,
}

fn server(text: &str) -> Result<String, String> {
    let is_url =
        ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if is_url { Ok(text.to_owned()) } else { Err("it is a URL such as http://127.0.0.1:9090".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "write a number of deliveries per second".to_owned())?;
    if rate > 0.0 && rate.is_finite() { Ok(rate) } else { Err("write a number greater than 0".to_owned()) }
}

impl Simulate {
    pub(crate) async fn run(&self, output: &Output) -> Result<(), Failure> {
        let meetings = self.play();
        let mut bodies = bodies_in_order(&meetings);
        if let Some(server) = &self.links_to {
            bodies = bodies.iter().map(|body| links::led_to(server, body)).collect();
        }
        let facts: Vec<Facts> = meetings.iter().map(Meeting::facts).collect();
        if self.dry_run {
            return self.show(&facts, &bodies, output);
        }
        let url = self.url.as_deref().ok_or_else(|| Failure::usage("no URL to send to; pass --url"))?;
        let target = self.via.target(url)?;
        let sender = Sender::new(self.secrets.signer()?, self.seed).timeout(self.via.timeout);
        let sender = self.with_faults(sender);

        let bar = progress_bar(sender.plan(bodies.len()).len(), output);
        let shown = bar.clone();
        let sender = sender.on_progress(move |progress| shown.set_position(progress.over as u64));
        let report = sender.send(&target, bodies).await;
        bar.finish_and_clear();

        let mut json = json!({ "seed": self.seed, "meetings": meetings.len(), "report": report.json() });
        if self.expect {
            json["expected"] = expected::json(&facts);
        }
        if let Some(file) = &self.report {
            let written = std::fs::write(file, format!("{json:#}\n"));
            written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
        }
        output.result(&json, || {
            let expected = if self.expect { expected::text(&facts) } else { String::new() };
            format!("{expected}{}", table::of(meetings.len(), &report))
        })?;
        self.judge(&report)
    }

    fn play(&self) -> Vec<Meeting> {
        let day = Day::new(self.seed).meetings(self.meetings).participants(self.participants.clone());
        let day = day.starting_at(self.start);
        match &self.app {
            Some(app) => day.of_app(app.as_str()).play(),
            None => day.play(),
        }
    }

    fn with_faults(&self, sender: Sender) -> Sender {
        let backoff = Backoff::default()
            .initial_delay(self.first_wait)
            .max_delay(Duration::from_secs(60))
            .max_failures(self.attempts);
        let sender = sender
            .concurrency(self.concurrency)
            .duplicates(self.duplicates)
            .shuffle(self.shuffle)
            .late(self.late, self.late_by)
            .lose_requests(self.lose_requests)
            .lose_answers(self.lose_answers)
            .backoff(backoff)
            .sign_repeats(match self.repeat_with {
                RepeatWith::New => SignRepeats::Anew,
                RepeatWith::Old => SignRepeats::AsBefore,
            });
        match self.rate {
            Some(rate) => sender.rate(rate),
            None => sender,
        }
    }

    fn show(&self, facts: &[Facts], bodies: &[Bytes], output: &Output) -> Result<(), Failure> {
        // The plan does not depend on the secret.
        let sender = self.with_faults(Sender::new(jaas_testkit::Signer::new("whsec_unused")?, self.seed));
        let mut lines = Vec::new();
        for planned in sender.plan(bodies.len()) {
            lines.extend_from_slice(&bodies[planned.body]);
            lines.push(b'\n');
        }
        output.write(&lines)?;
        if self.expect {
            let expected =
                if output.is_json() { format!("{}\n", expected::json(facts)) } else { expected::text(facts) };
            output.write(expected.as_bytes())?;
        }
        Ok(())
    }

    fn judge(&self, report: &Report) -> Result<(), Failure> {
        let Some(first) = report.undelivered.first() else { return Ok(()) };
        let last = match &first.last {
            Ok(status) => format!("the last response to the first of them was {status}"),
            Err(reason) => format!("the last request of the first of them failed: {reason}"),
        };
        let message = format!(
            "{} of {} deliveries were not acknowledged after {} attempts each; {last}",
            report.undelivered.len(),
            report.deliveries,
            self.attempts
        );
        let answered = report.acknowledged > 0 || !report.refused.is_empty();
        if answered {
            let secret = report.refused.contains_key(&401);
            let hint = if secret {
                ". 401 means that the signature was refused: is this the secret of that endpoint?"
            } else {
                ""
            };
            Err(Failure::no(format!("{message}{hint}")))
        } else {
            let remedy = first.last.as_ref().err().map_or("is the server running there?", failure::remedy);
            Err(Failure::no_server(format!("{message}; {remedy}")))
        }
    }
}

/// On standard error, and only on a terminal.
fn progress_bar(deliveries: usize, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(deliveries as u64);
    // The template is constant, so it cannot be wrong.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} ({per_sec}, {eta} to go)") {
        bar.set_style(style);
    }
    bar
}
