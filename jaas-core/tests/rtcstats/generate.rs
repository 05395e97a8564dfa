//! Statistics files from a seed, compressed as the sender does it: unchanged fields are omitted, the latest timestamp
//! is once at the top level, and 0 in its place.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// How large, and how odd.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Entries with statistics.
    pub(crate) entries: usize,
    /// Reports of each connection, and fields of each report.
    pub(crate) reports: usize,
    pub(crate) fields: usize,
    /// The share of fields that change from entry to entry.
    pub(crate) changing: f64,
    /// Whether reports appear, vanish, come back and change their type, and odd values take their place.
    pub(crate) wild: bool,
}

type Stats = Map<String, Value>;

/// The lines of a file.
pub(crate) fn lines(seed: u64, shape: Shape) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut connections = vec![(Stats::new(), Stats::new()); shape.connections];
    let mut now = 1_600_951_818_000_u64;
    let mut sequence = 0;
    let mut lines = Vec::new();
    for entry in 0..shape.entries {
        now += random.random_range(1..2000);
        let pc = entry % shape.connections;
        let pc = if shape.wild { random.random_range(0..shape.connections) } else { pc };
        let (before, state) = &mut connections[pc];
        live(&mut random, state, shape, now);
        let delta = compressed(before, state, shape.wild.then_some(&mut random));
        *before = state.clone();
        let kind = if shape.wild && random.random_bool(0.1) { "getStats" } else { "getstats" };
        sequence += 1;
        lines.push(json!([kind, format!("PC_{pc}"), delta, now, sequence]).to_string());
        if shape.wild && random.random_bool(0.2) {
            sequence += 1;
            lines.push(json!(["ondatachannel", format!("PC_{pc}"), [1, "x"], now, sequence]).to_string());
        }
    }
    lines
}

/// What happens between two snapshots of a connection.
fn live(random: &mut ChaCha8Rng, state: &mut Stats, shape: Shape, now: u64) {
    for id in 0..shape.reports {
        let name = format!("RTCReport_{id}");
        let there = state.contains_key(&name);
        if shape.wild && random.random_bool(if there { 0.1 } else { 0.6 }) {
            state.remove(&name);
            continue;
        }
        if shape.wild && random.random_bool(0.04) {
            let odd = [json!(5), json!(0), json!(false), json!(true), json!(""), json!(0.5)];
            state.insert(name, odd[random.random_range(0..odd.len())].clone());
            continue;
        }
        let types = ["inbound-rtp", "outbound-rtp", "remote-inbound-rtp", "codec", "candidate-pair"];
        let of_type = if shape.wild && random.random_bool(0.1) { random.random_range(0..5) } else { id % 5 };
        let report = state.entry(name).or_insert_with(|| json!({}));
        if !report.is_object() {
            *report = json!({});
        }
        let Some(report) = report.as_object_mut() else { continue };
        if report.is_empty() || shape.wild {
            report.insert("type".to_owned(), json!(types[of_type]));
        }
        for field in 0..shape.fields.saturating_sub(2) {
            let name = field_name(field);
            if report.contains_key(&name) && !random.random_bool(shape.changing) {
                continue;
            }
            if shape.wild && random.random_bool(0.3) {
                continue;
            }
            report.insert(name, value(random, field, shape.wild));
        }
        if !(shape.wild && random.random_bool(0.3)) {
            let late = if shape.wild && random.random_bool(0.3) { random.random_range(0..5000) } else { 0 };
            report.insert("timestamp".to_owned(), json!(now - late));
        }
    }
}

fn field_name(field: usize) -> String {
    const NAMES: [&str; 8] = [
        "bytesReceived",
        "packetsReceived",
        "packetsLost",
        "jitter",
        "roundTripTime",
        "kind",
        "ssrc",
        "framesPerSecond",
    ];
    NAMES.get(field).map_or_else(|| format!("totalSomething{field}"), |name| (*name).to_owned())
}

fn value(random: &mut ChaCha8Rng, field: usize, wild: bool) -> Value {
    match (field % 5, wild) {
        (0 | 1, _) => json!(random.random_range(0..100_000_000_u64)),
        (2, _) => json!(random.random_range(-50..5000_i64)),
        (3, _) => json!(random.random_range(0.0..10.0_f64)),
        (_, false) => json!(["audio", "video"][random.random_range(0..2)]),
        (_, true) => match random.random_range(0..5) {
            0 => json!(null),
            1 => json!({"nested": [1, {"deep": random.random_range(0..9)}]}),
            2 => json!([random.random_range(0..9), "two", 0.5]),
            3 => json!("Zoë \"quoted\" \u{1f600} \\ \n"),
            _ => json!(random.random_bool(0.5)),
        },
    }
}

/// The output of the sender: the differences.
fn compressed(before: &Stats, state: &Stats, mut wild: Option<&mut ChaCha8Rng>) -> Value {
    let mut delta = state.clone();
    let mut latest = None;
    for (id, report) in &mut delta {
        let Some(report) = report.as_object_mut() else { continue };
        if let Some(Value::Object(before)) = before.get(id) {
            report.retain(|name, value| before.get(name) != Some(value));
        }
        latest = latest.max(report.get("timestamp").and_then(Value::as_u64));
    }
    for report in delta.values_mut().filter_map(Value::as_object_mut) {
        if latest.is_some() && report.get("timestamp").and_then(Value::as_u64) == latest {
            report.insert("timestamp".to_owned(), json!(0));
        }
    }
    let without = wild.as_mut().is_some_and(|random| random.random_bool(0.05));
    match latest {
        Some(latest) if !without => {
            delta.insert("timestamp".to_owned(), json!(latest));
        }
        // No time at all is minus infinity in the browser, and null in JSON.
        None if delta.is_empty() => {
            delta.insert("timestamp".to_owned(), json!(null));
        }
        _ => {}
    }
    delta.into()
}
