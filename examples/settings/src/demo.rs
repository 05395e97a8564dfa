//! Asks this server over HTTP as JaaS would, and prints the decisions.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jaas_core::settings::{SettingsLog as _, SettingsQuery, SettingsRecord};
use jaas_core::signature::{self, Secret};
use jaas_core::telemetry::Escaped;
use jaas_core::{Clock as _, Fqn, SystemClock};
use jaas_diesel::SqliteStore;

/// Asks about each kind of room, with a signature as for events.
pub(crate) async fn play(address: SocketAddr, path: &str, secret: &str) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let url = format!("http://{address}{path}");
    // JaaS waits about 3 s; a busy machine may need longer.
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let genuine = Secret::new(secret)?;
    for room in ["math", "board-vip", "slow", "broken", "panics"] {
        let body = format!(r#"{{"fqn":"vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/{room}"}}"#);
        let signature = signature::sign(&genuine, SystemClock.now(), body.as_bytes());
        let asked = Instant::now();
        let response = client.post(&url).header("X-Jaas-Signature", signature).body(body).send().await?;
        let status = response.status().as_u16();
        writeln!(
            out,
            "{room:<10} {status} after {:>4} ms: {}",
            asked.elapsed().as_millis(),
            response.text().await?
        )?;
    }
    Ok(())
}

/// Prints the records of one room, or of all rooms, oldest first.
pub(crate) async fn records(store: &SqliteStore, fqn: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let mut query = SettingsQuery { fqn: fqn.map(Fqn::new), ..SettingsQuery::default() };
    loop {
        let page = store.settings_records(&query).await?;
        for record in page.items {
            writeln!(out, "{}", Escaped(line(&record)))?;
        }
        let Some(next) = page.next else { return Ok(()) };
        query.page.after = Some(next);
    }
}

fn line(record: &SettingsRecord) -> String {
    let why = match (&record.failure, &record.error, &record.decided_by) {
        (Some(failure), Some(error), _) => format!("{failure}: {error}"),
        (Some(failure), None, _) => failure.to_string(),
        (None, _, Some(decided_by)) => decided_by.clone(),
        (None, _, None) => String::new(),
    };
    format!(
        "{} {} {} after {} ms, {}; {}",
        record.received_at,
        record.fqn,
        record.source,
        record.took.as_millis(),
        record.answer,
        why
    )
}
