//! What the application should have learned.

use jaas_core::Timestamp;
use jaas_core::event::EventKind;
use jaas_testkit::simulator::{Facts, billable_devices};
use serde_json::{Value, json};

/// The files that are counted separately.
const FILES: [(&str, EventKind); 7] = [
    ("recordings", EventKind::RecordingUploaded),
    ("segments", EventKind::VideoSegmentUploaded),
    ("transcripts", EventKind::TranscriptionUploaded),
    ("chats", EventKind::ChatUploaded),
    ("screens", EventKind::ScreenSharingHistory),
    ("documents", EventKind::DocumentAdded),
    ("rtcstats", EventKind::RtcstatsUploaded),
];

pub(super) fn json(facts: &[Facts]) -> Value {
    json!({
        "billableDevices": billable_devices(facts).len(),
        "meetings": facts.iter().map(Facts::json).collect::<Vec<_>>(),
    })
}

/// One line for each meeting, and one for all.
pub(super) fn text(facts: &[Facts]) -> String {
    let mut text = "Your application should have learned:\n\n".to_owned();
    let line = |session: &str,
                room: &str,
                from: &str,
                minutes: u64,
                people: usize,
                devices: usize,
                files: &[usize]| {
        let files: String = files
            .iter()
            .zip(FILES)
            .map(|(count, (name, _))| format!(" {count:>width$}", width = name.len()))
            .collect();
        format!("{session:<36}  {room:<14} {from:<8} {minutes:>7} {people:>6} {devices:>7}{files}\n")
    };
    let heads: String = FILES.map(|(name, _)| format!(" {name}")).concat();
    text.push_str(&format!(
        "{:<36}  {:<14} {:<8} {:>7} {:>6} {:>7}{heads}\n",
        "session", "room", "from", "minutes", "stays", "devices"
    ));
    let mut totals = (0, 0, [0; FILES.len()]);
    for facts in facts {
        let files = FILES.map(|(_, kind)| facts.artifacts_of(kind));
        let minutes = minutes(facts);
        text.push_str(&line(
            facts.session.as_str(),
            &facts.room,
            &facts.opened_at.map_or_else(String::new, time_of_day),
            minutes,
            facts.stays.len(),
            facts.devices.len(),
            &files,
        ));
        totals.0 += minutes;
        totals.1 += facts.stays.len();
        for (total, count) in totals.2.iter_mut().zip(files) {
            *total += count;
        }
    }
    text.push_str(&line(
        "total (each device once)",
        "",
        "",
        totals.0,
        totals.1,
        billable_devices(facts).len(),
        &totals.2,
    ));
    text.push('\n');
    text
}

fn minutes(facts: &Facts) -> u64 {
    match (facts.opened_at, facts.ended_at) {
        (Some(opened), Some(ended)) => ended.duration_since(opened).as_secs() / 60,
        _ => 0,
    }
}

/// In UTC.
fn time_of_day(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}
