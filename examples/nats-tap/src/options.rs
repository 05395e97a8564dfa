//! The configuration of the process, from its environment.

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

pub(crate) struct Options {
    pub(crate) secrets: Vec<String>,
    pub(crate) bind: String,
    pub(crate) database: String,
    pub(crate) tap_database: String,
    /// Whether events go to NATS at all.
    pub(crate) tap: bool,
    pub(crate) lease: Duration,
    /// It can contain a password, so no log shows it.
    pub(crate) nats: String,
    pub(crate) stream: String,
}

impl Options {
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        if env::args().len() > 1 {
            return Err("usage: nats-tap; it is configured by environment variables".into());
        }
        let secrets = variable("JAAS_WEBHOOK_SECRET")?
            .ok_or("JAAS_WEBHOOK_SECRET is not set; copy the endpoint's secret from the JaaS console")?;
        let lease = match variable("JAAS_LEASE_MS")? {
            None => Duration::from_secs(15),
            Some(lease) => lease
                .parse()
                .map(Duration::from_millis)
                .map_err(|_| format!("JAAS_LEASE_MS is {lease:?}; set it to a number of milliseconds"))?,
        };
        let tap = match variable("JAAS_TAP")?.as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => return Err(format!("JAAS_TAP is {other:?}; set it to on or off").into()),
        };
        let database = variable("JAAS_DATABASE")?.unwrap_or_else(|| "jaas.sqlite".to_owned());
        let beside = || Path::new(&database).with_extension("tap.sqlite").to_string_lossy().into_owned();
        Ok(Self {
            secrets: secrets.split(',').map(str::to_owned).collect(),
            bind: variable("JAAS_BIND")?.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            tap_database: variable("JAAS_TAP_DATABASE")?.unwrap_or_else(beside),
            database,
            tap,
            lease,
            nats: variable("NATS_URL")?.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned()),
            stream: variable("NATS_STREAM")?.unwrap_or_else(|| "JAAS".to_owned()),
        })
    }
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
