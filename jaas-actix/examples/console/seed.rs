//! Fills the inbox: a day of events, through the worker.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::settings::{SettingsFailure, SettingsLog as _, SettingsRecord, SettingsSource};
use jaas_core::store::{EventAdmin as _, EventState, EventStore as _};
use jaas_core::{Clock as _, Delivery, Fqn, SystemClock, Timestamp};
use jaas_diesel::SqliteStore;
use jaas_testkit::event::EventBuilder;

use crate::clock::Wound;
use crate::events::{self, HOSTILE};
use crate::rooms::Rooms;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How long the worker may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn seed(store: &SqliteStore, clock: &Wound, rooms: &Rooms) -> Result {
    let now = SystemClock.now();
    let before = |minutes: u32| now.saturating_sub(MINUTE * minutes);
    // Once an hour, and in the last hour every four minutes.
    let times = (1..24).rev().map(|hour| hour * 60).chain((1..15).rev().map(|step| step * 4));
    clock.set(before(24 * 60));
    store.record_activity(clock.time()).await?;
    for (number, minutes) in times.enumerate() {
        let at = before(minutes);
        clock.set(at);
        accept(store, &events::batch(number, at), at).await?;
        worked_off(store, 0).await?;
        store.record_activity(at).await?;
    }

    let at = before(3);
    clock.set(at);
    accept(store, &events::meeting(at), at).await?;
    accept(store, &events::conflict(at), at).await?;
    accept(store, &[events::hostile(at)], at).await?;
    worked_off(store, 0).await?;
    accept(store, &events::retried(at), at).await?;
    worked_off(store, 3).await?;
    for body in ["{\"eventType\": \"PARTICIPANT_JOI", "[]", HOSTILE] {
        if let Err(unreadable) = Delivery::parse("main", at, Bytes::from(body)) {
            store.quarantine(unreadable).await?;
        }
    }
    store.record_settings(&decisions(at)).await?;
    store.record_activity(at).await?;
    clock.set(now);
    rooms.add_annex();
    Ok(())
}

async fn accept(store: &SqliteStore, events: &[EventBuilder], at: Timestamp) -> Result {
    for event in events {
        store.accept(event.clone().received_at(at).delivery()).await?;
    }
    Ok(())
}

/// Waits until so many events are left that are not settled.
async fn worked_off(store: &SqliteStore, left: u64) -> Result {
    let wait = async {
        loop {
            let stats = store.stats().await?;
            let open = stats.count(EventState::Waiting) + stats.count(EventState::Running);
            if open == left && stats.count(EventState::Running) == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await?
}

fn decisions(at: Timestamp) -> Vec<SettingsRecord> {
    let decision = |room: &str, seconds, source, answer: &str| {
        let fqn = Fqn::new(format!("vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/{room}"));
        let asked = at.saturating_sub(Duration::from_secs(seconds));
        let mut record = SettingsRecord::new("settings", fqn, asked, source, answer);
        record.took = Duration::from_millis(12 + seconds % 30);
        record
    };
    let lobby = r#"{"lobbyEnabled":true,"passcode":"…"}"#;
    let mut known = decision("math", 600, SettingsSource::Provider, lobby);
    known.decided_by = Some("rule 3: rooms of courses".to_owned());
    let mut late = decision("physics", 300, SettingsSource::LastKnownGood, lobby);
    late.failure = Some(SettingsFailure::TimedOut);
    let mut failed = decision(HOSTILE, 120, SettingsSource::Fallback, "{}");
    failed.failure = Some(SettingsFailure::Failed);
    failed.error = Some(HOSTILE.to_owned());
    vec![known, late, failed]
}
