//! Files damaged in every way: nothing panics, and no more is held than allowed.
//!
//! A few seconds of it run with every test; `JAAS_FUZZ_SECONDS=600` runs it that long, and prints what it did.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use jaas_core::rtcstats::{AsyncReader, Decompressor, Mode, Reader, Series, Summary};
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::rtcstats::generate::{Shape, lines};
use crate::rtcstats::support::gzip;

const SEED: u64 = 20_261_124;
const MAX_LINE: usize = 64 * 1024;
const MAX_HELD: usize = 1024 * 1024;
/// The maximum memory of the process: the bounds above are 1 MiB in total, the rest is the test's own files.
const MAX_RESIDENT_KIB: u64 = 96 * 1024;

#[test]
fn damaged_files_neither_panic_nor_take_more_memory_than_allowed() {
    let seconds =
        std::env::var("JAAS_FUZZ_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    let (began, mut runs, mut entries, mut failures) = (Instant::now(), 0_u64, 0_u64, 0_u64);
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let corpus = corpus();
    let over = |runs| match seconds {
        Some(seconds) => began.elapsed() >= Duration::from_secs(seconds),
        None => runs >= 1500,
    };
    while !over(runs) {
        let mut file = corpus[random.random_range(0..corpus.len())].clone();
        let compressed_after = random.random_bool(0.4);
        for _ in 0..random.random_range(1..12) {
            damage(&mut random, &mut file);
        }
        if compressed_after {
            file = gzip(&file);
            if random.random_bool(0.2) {
                damage(&mut random, &mut file);
            }
        }
        let (good, bad) = run(&file, runs);
        (runs, entries, failures) = (runs + 1, entries + good, failures + bad);
    }
    if seconds.is_some() {
        let peak = peak_kib();
        let took = began.elapsed().as_secs();
        let written = writeln!(
            io::stderr(),
            "fuzzed: seed {SEED}, {runs} files in {took} s, {entries} entries and {failures} errors, peak {peak:?} KiB"
        );
        written.expect("written");
        assert!(peak.is_none_or(|peak| peak < MAX_RESIDENT_KIB), "{peak:?} KiB");
    }
    assert!(entries > 0 && failures > 0);
}

/// Reads a file in every way, and counts entries and errors.
fn run(file: &[u8], run: u64) -> (u64, u64) {
    let mode = if run.is_multiple_of(2) { Mode::Server } else { Mode::Snippet };
    let mut decompressor = Decompressor::new().mode(mode).max_held(MAX_HELD);
    let mut series = Series::of("bytesReceived").per_second();
    let (mut good, mut bad) = (0, 0);
    for item in Reader::new(file).max_line(MAX_LINE) {
        let Ok(entry) = item else {
            bad += 1;
            continue;
        };
        good += 1;
        match decompressor.apply(&entry) {
            Ok(Some(snapshot)) => {
                let mut json = Vec::new();
                snapshot.write_json(&mut json).expect("written");
                let read: serde_json::Result<&serde_json::value::RawValue> = serde_json::from_slice(&json);
                read.expect("the written entry parses");
                series.points(&snapshot);
            }
            Ok(None) => {}
            Err(_) => bad += 1,
        }
        assert!(decompressor.held() <= MAX_HELD, "{}", decompressor.held());
    }
    let (mut summary, mut decompressor) = (Summary::new(), Decompressor::new().max_held(MAX_HELD));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = AsyncReader::new(file).max_line(MAX_LINE);
        while let Some(item) = reader.next().await {
            summary.add(item, &mut decompressor).expect("memory can be read");
        }
    });
    assert_eq!(summary.entries(), good);
    assert!(summary.to_string().contains("entries"));
    (good, bad)
}

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for seed in 0..12 {
        let reports = if seed == 0 { 80 } else { 4 };
        let shape =
            Shape { connections: 2, entries: 10, reports, fields: 8, changing: 0.5, wild: seed % 2 == 0 };
        let text = lines(seed, shape).join("\n").into_bytes();
        corpus.push(gzip(&text));
        corpus.push(text);
    }
    let many: String = (0..4000).map(|n| format!("\"f{n}\":{n},")).collect();
    corpus.push(format!("[\"getstats\",\"PC_0\",{{\"A\":{{{many}\"z\":0}}}},1]\n").repeat(3).into_bytes());
    let deep = format!(
        "[\"getstats\",\"PC_0\",{{\"A\":{{\"x\":{}{}}}}},1]\n",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    corpus.push(deep.into_bytes());
    corpus.push(gzip(&vec![b'['; 2_000_000]));
    corpus
}

fn damage(random: &mut ChaCha8Rng, file: &mut Vec<u8>) {
    const WORDS: [&str; 16] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "\n",
        "null",
        "0",
        "-0.0",
        "1e999",
        "\"timestamp\":0,",
        "\\ud83d",
        "\u{feff}",
        "[\"getstats\",\"PC_0\",{\"A\":{}},1]\n",
    ];
    let at = random.random_range(0..=file.len());
    let end = (at + random.random_range(0..200)).min(file.len());
    match random.random_range(0..8) {
        0 if at < file.len() => file[at] = random.random(),
        1 if at < file.len() => file[at] ^= 1 << random.random_range(0..8),
        2 => {
            let word = WORDS[random.random_range(0..WORDS.len())];
            file.splice(at..at, word.bytes());
        }
        3 => {
            file.drain(at..end);
        }
        4 => {
            let piece = file[at..end].to_vec();
            let to = random.random_range(0..=file.len());
            file.splice(to..to, piece);
        }
        5 => {
            let mut piece = vec![0; random.random_range(0..64)];
            random.fill_bytes(&mut piece);
            file.splice(at..at, piece);
        }
        6 if random.random_bool(0.2) => file.truncate(at),
        7 => {
            // A line is repeated elsewhere.
            let line =
                file.split(|byte| *byte == b'\n').nth(random.random_range(0..8)).unwrap_or_default().to_vec();
            let to =
                file[at..].iter().position(|byte| *byte == b'\n').map_or(file.len(), |next| at + next + 1);
            file.splice(to..to, line.into_iter().chain(*b"\n"));
        }
        _ => {}
    }
}

/// The peak memory of the process, where the system reports it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
