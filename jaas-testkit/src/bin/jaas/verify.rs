//! `jaas verify`, the signature doctor.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jaas_core::signature::{self, Tolerance};
use jaas_core::{Clock as _, SystemClock, Timestamp};
use jaas_testkit::doctor::{Diagnosis, Doctor, Finding};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options::{self, Secrets};
use crate::output::Output;
use crate::values;

/// Verifies a signature: valid or not, and if not, which known mistake explains it
#[derive(Debug, Args)]
#[command(after_help = "\
It recognises a stripped whsec_ prefix, a decoded key, white space in the secret or quotes around it, the secret of another
endpoint, hex or URL-safe base64, lost padding, a body written again (keys sorted, \\u escapes in capitals), in base64 or in
another character set, a line break or a byte order mark added or lost, an empty body, milliseconds, a body signed alone, two
headers joined, clocks that differ, and several of these together.

Examples:
  jaas verify --body body.json --header 't=1760000000,v1=…' --secret whsec_…
  jaas verify --body body.json --header … --other-secret whsec_…     # is it another endpoint's?
  jaas verify --body body.json --header … --now 2026-11-23T08:00:00Z # for a request that arrived then")]
pub(crate) struct Verify {
    /// The file with the body, byte for byte as received; `-` is standard input
    #[arg(long, value_name = "FILE")]
    body: PathBuf,

    /// The value of X-Jaas-Signature; repeat it for a header with several lines
    #[arg(long, value_name = "VALUE", required = true)]
    header: Vec<String>,

    /// A secret of another endpoint, or an old one, that may have been used by mistake
    #[arg(long, value_name = "SECRET", value_delimiter = ',')]
    other_secret: Vec<String>,

    /// When the request arrived; otherwise now
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    now: Option<Timestamp>,

    /// The maximum age of a signature
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = values::duration)]
    tolerance: Duration,

    /// How far the sender's clock may be ahead
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::duration)]
    tolerance_future: Duration,

    #[command(flatten)]
    secrets: Secrets,
}

impl Verify {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        if self.secrets.all().is_empty() {
            return Err(Failure::usage(
                "no secret to verify with; pass --secret, or set JAAS_WEBHOOK_SECRET",
            ));
        }
        let body = options::read(&self.body)?;
        let tolerance = Tolerance { past: self.tolerance, future: self.tolerance_future };
        let doctor = Doctor::new(self.secrets.all())?.others(&self.other_secret).tolerance(tolerance);
        let now = self.now.unwrap_or_else(|| SystemClock.now());
        let diagnosis = doctor.examine(&self.value(), &body, now);
        output.result(&json(&diagnosis), || self.text(&diagnosis))?;
        if diagnosis.is_valid() { Ok(()) } else { Err(Failure::already_reported()) }
    }

    /// The header's value, joined from several lines; it may include the header's name.
    fn value(&self) -> String {
        let lines = self.header.iter().map(|line| match line.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case(signature::HEADER) => value.trim(),
            _ => line.trim(),
        });
        lines.collect::<Vec<_>>().join(",")
    }

    fn text(&self, diagnosis: &Diagnosis) -> String {
        let verdict = match &diagnosis.verdict {
            Ok(verified) => {
                let secrets = self.secrets.all().len();
                let which = match diagnosis.secret {
                    Some(index) if secrets > 1 => format!(", with secret {} of {secrets}", index + 1),
                    _ => String::new(),
                };
                return format!("valid: signed at {}{which}\n", verified.signed_at);
            }
            Err(error) => error,
        };
        let mut text = format!("not valid: {verdict}\n");
        for Finding { mistake, explanation, .. } in &diagnosis.findings {
            text.push_str(&format!("\n  {}\n  {explanation}\n", mistake.as_str()));
        }
        if diagnosis.findings.is_empty() {
            text.push_str(
                "\n  No known mistake explains it. Either it was made with a secret that was not passed (--other-secret accepts \
                 more), or the body is not the one that was signed. Where letters outside ASCII became `?`, what was signed \
                 can no longer be known: capture the bytes as received.\n",
            );
        }
        text
    }
}

fn json(diagnosis: &Diagnosis) -> Value {
    let findings: Vec<Value> = diagnosis
        .findings
        .iter()
        .map(|finding| json!({ "mistake": finding.mistake.as_str(), "explanation": finding.explanation }))
        .collect();
    json!({
        "valid": diagnosis.is_valid(),
        "signedAt": diagnosis.verdict.as_ref().ok().map(|verified| verified.signed_at),
        "secret": diagnosis.secret.map(|index| index + 1),
        "reason": diagnosis.verdict.as_ref().err().map(ToString::to_string),
        "mistakes": findings,
    })
}
