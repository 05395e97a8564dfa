//! A meeting whose files are on a server of this machine that fails in every way: busy, stalled, cut short, gone, too late.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use jaas_core::archive::{ArtifactKind, ArtifactQuery, ArtifactRecord, ArtifactState, ArtifactStore as _};
use jaas_core::signature::{self, Secret};
use jaas_core::{Clock as _, SessionId, SystemClock};
use jaas_diesel::SqliteStore;
use jaas_testkit::archive::{FileServer, Reply, uploaded};

/// How long the links live that fail until they die.
const SHORT: Duration = Duration::from_secs(8);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) async fn play(
    address: SocketAddr,
    path: &str,
    secret: &str,
    store: &SqliteStore,
) -> Result<(), Box<dyn Error>> {
    let server = FileServer::start().await?;
    let file = vec![7_u8; 3_000_000];
    let whole = || Reply::file(file.clone());
    let files = [
        (
            "a server that is busy twice",
            ArtifactKind::Recording,
            DAY,
            server.serve("/recording.mp4", [Reply::status(503).times(2), whole()]),
        ),
        (
            "a transfer that ends early",
            ArtifactKind::Chat,
            DAY,
            server.serve("/chat.json", [whole().cut_after(1_000_000), whole()]),
        ),
        (
            "a transfer that stalls",
            ArtifactKind::Transcription,
            DAY,
            server.serve("/transcription", [whole().stall_after(500_000), whole()]),
        ),
        (
            "a link that fails until it dies",
            ArtifactKind::VideoSegment,
            SHORT,
            server.serve("/segment.mp4", [Reply::status(500)]),
        ),
        (
            "a file that was deleted",
            ArtifactKind::Document,
            DAY,
            server.serve("/plan.pdf", [Reply::status(404)]),
        ),
        (
            "a link into this network",
            ArtifactKind::Rtcstats,
            DAY,
            "https://169.254.169.254/stats.gz".to_owned(),
        ),
    ];
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    let session = format!("demo-{:016x}", u64::from_be_bytes(bytes));
    let secret = Secret::new(secret)?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    for (_, kind, life, link) in &files {
        let now = SystemClock.now();
        let event =
            uploaded(*kind, &format!("{session}-{kind}"), &session, link, now, now.saturating_add(*life));
        let body = event.body().to_vec();
        let signature = signature::sign(&secret, now, &body);
        let request = client
            .post(format!("http://{address}{path}"))
            .header("Content-Type", "application/json")
            .header("X-Jaas-Signature", signature)
            .body(body);
        request.send().await?.error_for_status()?;
    }
    let records = ended(store, &session, files.len()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "\nwhat was kept, and what was lost:")?;
    for (what, kind, ..) in &files {
        let record = records.iter().find(|record| record.kind == *kind).ok_or("an event was not handled")?;
        let how = match (&record.kept, record.why) {
            (Some(kept), _) => format!("{} bytes in {}", kept.bytes, kept.object),
            (None, Some(why)) => why.to_string(),
            (None, None) => String::new(),
        };
        writeln!(out, "  {:<8} {:<14} {what}: {how}", record.state.to_string(), kind.to_string())?;
    }
    Ok(())
}

/// The files of the session, once all have ended; until then a line shows how many have.
async fn ended(
    store: &SqliteStore,
    session: &str,
    expected: usize,
) -> Result<Vec<ArtifactRecord>, Box<dyn Error>> {
    let query = ArtifactQuery { session_id: Some(SessionId::new(session)), ..ArtifactQuery::default() };
    let mut err = std::io::stderr();
    let mut shown = usize::MAX;
    for _ in 0..600 {
        let records = store.artifacts(&query).await?.items;
        let is_settled = |record: &&ArtifactRecord| {
            matches!(record.state, ArtifactState::Stored | ArtifactState::Lost | ArtifactState::Ended)
        };
        let settled = records.iter().filter(is_settled).count();
        if settled != shown {
            let end = if err.is_terminal() && settled < expected { "\r" } else { "\n" };
            write!(err, "{settled} of {expected} files have ended{end}")?;
            shown = settled;
        }
        if settled == expected {
            return Ok(records);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("not every file has ended within 60 s; the log says why".into())
}
