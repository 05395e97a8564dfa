//! The configuration of the process, from its arguments and its environment.

use std::env;
use std::error::Error;
use std::time::Duration;

const USAGE: &str = "usage: workers [--role receiver|worker|both] [--slow-ms N]";

pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) slow: Duration,
    pub(crate) bind: String,
    pub(crate) database: Database,
    /// Empty for a worker, which receives nothing.
    pub(crate) secrets: Vec<String>,
    pub(crate) lease: Duration,
}

/// What this process does for the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Accepts what JaaS sends.
    Receiver,
    /// Handles what was accepted.
    Worker,
    Both,
}

impl Role {
    pub(crate) fn receives(self) -> bool {
        self != Self::Worker
    }

    pub(crate) fn works(self) -> bool {
        self != Self::Receiver
    }
}

/// Where the inbox is.
pub(crate) enum Database {
    Postgres(String),
    Mysql(String),
    Sqlite(String),
}

impl Options {
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let (role, slow) = arguments(env::args().skip(1))?;
        let lease = match variable("JAAS_LEASE_MS")? {
            None => Duration::from_secs(15),
            Some(lease) => millis(&lease)
                .ok_or_else(|| format!("JAAS_LEASE_MS is {lease:?}; set it to a number of milliseconds"))?,
        };
        Ok(Self {
            role,
            slow,
            bind: variable("JAAS_BIND")?.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            database: database()?,
            secrets: if role.receives() { secrets()? } else { Vec::new() },
            lease,
        })
    }
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<(Role, Duration), Box<dyn Error>> {
    let (mut role, mut slow) = (Role::Both, Duration::ZERO);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
        match (&*flag, &*value) {
            ("--role", "receiver") => role = Role::Receiver,
            ("--role", "worker") => role = Role::Worker,
            ("--role", "both") => role = Role::Both,
            ("--slow-ms", number) => {
                slow = millis(number).ok_or_else(|| {
                    format!("--slow-ms {number:?} is not a number of milliseconds; {USAGE}")
                })?;
            }
            _ => return Err(format!("{flag} {value:?} is not known; {USAGE}").into()),
        }
    }
    Ok((role, slow))
}

fn database() -> Result<Database, Box<dyn Error>> {
    const REMEDY: &str = "set it to postgres://…, mysql://… or sqlite://path";
    let url = variable("DATABASE_URL")?.ok_or_else(|| format!("DATABASE_URL is not set; {REMEDY}"))?;
    // The address contains a password, so an error names only its scheme.
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(Database::Postgres(url)),
        Some(("mysql", _)) => Ok(Database::Mysql(url)),
        Some(("sqlite", "")) => Err(format!("DATABASE_URL names no SQLite file; {REMEDY}").into()),
        Some(("sqlite", path)) => Ok(Database::Sqlite(path.to_owned())),
        Some((scheme, _)) => Err(format!("DATABASE_URL begins with {scheme}://; {REMEDY}").into()),
        None => Err(format!("DATABASE_URL has no scheme; {REMEDY}").into()),
    }
}

fn secrets() -> Result<Vec<String>, Box<dyn Error>> {
    let secrets = variable("JAAS_WEBHOOK_SECRET")?
        .ok_or("JAAS_WEBHOOK_SECRET is not set; copy the endpoint's secret from the JaaS console")?;
    Ok(secrets.split(',').map(str::to_owned).collect())
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn millis(number: &str) -> Option<Duration> {
    number.parse().ok().map(Duration::from_millis)
}
