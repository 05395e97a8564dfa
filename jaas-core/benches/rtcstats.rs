//! Decompressing a statistics file, against 8x8's snippet in Node on the same file in the same run.
//!
//! `cargo bench -p jaas-core --bench rtcstats`. Both sides read the plain text from memory, line by line, parse it, and
//! rebuild every entry; the fastest of some rounds counts.
#![allow(clippy::expect_used, clippy::print_stdout)]

#[path = "../tests/rtcstats/generate.rs"]
mod generate;

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use jaas_core::rtcstats::{Decompressor, Mode, Reader, Summary};

use self::generate::{Shape, lines};

const ROUNDS: usize = 7;

fn main() {
    let name = |changing| format!("{} % of the fields change with each entry", changing * 100.0);
    for changing in [0.3, 1.0] {
        let shape = Shape { connections: 2, entries: 2000, reports: 60, fields: 25, changing, wild: false };
        let file = lines(7, shape).join("\n");
        let megabytes = file.len() as f64 / 1e6;
        println!("2000 entries x 60 reports x 25 fields, {}: {megabytes:.1} MB", name(changing));
        let node = node(&file);
        for (what, mode) in [("snippet mode", Mode::Snippet), ("server mode", Mode::Server)] {
            report(what, fastest(|| expand(&file, mode)), megabytes, node);
        }
        report("reading only", fastest(|| Reader::new(file.as_bytes()).count()), megabytes, None);
        report(
            "summary",
            fastest(|| Summary::of(file.as_bytes()).expect("read").entries() as usize),
            megabytes,
            None,
        );
    }
}

fn expand(file: &str, mode: Mode) -> usize {
    let mut decompressor = Decompressor::new().mode(mode);
    let mut entries = 0;
    for entry in Reader::new(file.as_bytes()) {
        let entry = entry.expect("an entry");
        entries += usize::from(black_box(decompressor.apply(&entry).expect("statistics")).is_some());
    }
    entries
}

/// Ms of the fastest round.
fn fastest(mut work: impl FnMut() -> usize) -> f64 {
    let round = |_| {
        let began = Instant::now();
        assert_eq!(black_box(work()), 2000);
        began.elapsed().as_secs_f64() * 1000.0
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Ms of the snippet's fastest round; `None`, which is printed, without Node.
fn node(file: &str) -> Option<f64> {
    let path = std::env::temp_dir().join(format!("jaas-rtcstats-{}.ndjson", std::process::id()));
    std::fs::write(&path, file).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtcstats/snippet.js");
    let output = Command::new("node").arg(script).arg("bench").arg(&path).arg(ROUNDS.to_string()).output();
    std::fs::remove_file(&path).expect("removed");
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let millis: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("ms");
            println!("  the snippet in Node {millis:>8.1} ms");
            Some(millis)
        }
        Err(error) => {
            println!("  NOT COMPARED with Node: {error}");
            None
        }
    }
}

fn report(what: &str, millis: f64, megabytes: f64, node: Option<f64>) {
    let ratio = node.map_or_else(String::new, |node| format!(", {:.2} x the snippet", node / millis));
    println!("  {what:19} {millis:>8.1} ms, {:.0} MB/s{ratio}", megabytes / millis * 1000.0);
}
