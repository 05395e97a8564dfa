//! `jaas fixtures`.

use clap::{Args, ValueEnum};
use jaas_testkit::fixture::{self, Fixture};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// Lists bodies as JaaS sends them, or prints one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jaas fixtures                        # one line for each event
  jaas fixtures POLL_CREATED           # its body
  jaas fixtures --of cases             # the known variants on the wire
  jaas fixtures moderator-string       # one of them
  jaas fixtures ROLE_CHANGED --key k1 | jaas send --file - --url http://127.0.0.1:8080/webhooks/jaas")]
pub(crate) struct Fixtures {
    /// The event type, or the name of a case. Without it, lists them
    #[arg(value_name = "EVENT")]
    name: Option<String>,

    /// Which set of bodies
    #[arg(long, value_enum, value_name = "SET")]
    of: Option<Set>,

    /// Gives the body another idempotency key
    #[arg(long, value_name = "KEY", requires = "name")]
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// One for each event, with every documented field
    Events,
    /// Odd bodies that occur, or may occur, on the wire
    Cases,
    /// The examples of 8x8's page, byte for byte
    Documented,
    /// Bodies whose envelope cannot be parsed
    Unreadable,
}

/// One body and its description.
struct Entry {
    name: &'static str,
    about: &'static str,
    body: &'static [u8],
}

macro_rules! descriptions {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        /// The description of an event, from the table.
        fn description(name: &str) -> &'static str {
            match name {
                $($wire => $doc.trim_ascii(),)*
                _ => "",
            }
        }
    };
}
jaas_core::for_each_event!(descriptions);

impl Fixtures {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        match &self.name {
            None => self.list(output),
            Some(name) => self.print(name, output),
        }
    }

    fn list(&self, output: &Output) -> Result<(), Failure> {
        let entries = entries(self.of.unwrap_or(Set::Events));
        let json: Vec<Value> = entries
            .iter()
            .map(|entry| json!({ "name": entry.name, "about": entry.about, "bytes": entry.body.len() }))
            .collect();
        let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        Ok(output.result(&json.into(), || {
            let line = |entry: &Entry| {
                format!("{}\n", format!("{:<width$}  {}", entry.name, entry.about).trim_end())
            };
            entries.iter().map(line).collect()
        })?)
    }

    fn print(&self, name: &str, output: &Output) -> Result<(), Failure> {
        let sets = match self.of {
            Some(set) => vec![set],
            None => vec![Set::Events, Set::Cases, Set::Unreadable],
        };
        let same = |known: &str| {
            known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(&name.replace('-', "_"))
        };
        let entry = sets.into_iter().flat_map(entries).find(|entry| same(entry.name));
        let entry = entry.ok_or_else(|| {
            Failure::usage(format!(
                "no body is named {name}; `jaas fixtures` lists the events, --of cases the others"
            ))
        })?;
        let Some(key) = &self.key else { return Ok(output.write(entry.body)?) };
        let body = std::str::from_utf8(entry.body).ok().and_then(|body| fixture::with_key(body, key));
        let body = body.ok_or_else(|| Failure::usage(format!("{name} has no idempotency key to replace")))?;
        Ok(output.write(body.as_bytes())?)
    }
}

fn entries(set: Set) -> Vec<Entry> {
    let of = |fixtures: &'static [Fixture]| {
        fixtures
            .iter()
            .map(|fixture| Entry {
                name: fixture.name,
                about: description(fixture.name),
                body: fixture.body.as_bytes(),
            })
            .collect()
    };
    match set {
        Set::Events => of(fixture::EVENTS),
        Set::Cases => of(fixture::CASES),
        Set::Documented => of(fixture::DOCUMENTED),
        Set::Unreadable => {
            fixture::UNREADABLE.iter().map(|(name, body)| Entry { name, about: "", body }).collect()
        }
    }
}
