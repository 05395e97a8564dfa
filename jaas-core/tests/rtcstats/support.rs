//! What several tests need.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use jaas_core::rtcstats::{Decompressor, Mode, Reader};
use serde_json::Value;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtcstats")
}

/// The complete statistics after each entry that has some, as JSON lines.
pub(crate) fn expanded(file: impl Read, mode: Mode) -> Vec<String> {
    let mut decompressor = Decompressor::new().mode(mode);
    let mut all = Vec::new();
    for entry in Reader::new(file) {
        if let Some(snapshot) = decompressor.apply(&entry.expect("an entry")).expect("statistics") {
            let mut json = Vec::new();
            snapshot.write_json(&mut json).expect("written");
            all.push(String::from_utf8(json).expect("UTF-8"));
        }
    }
    all
}

/// The same of each file by Node, running the snippet; `None`, with a message, without Node. It starts once for all files.
pub(crate) fn expanded_by_node(files: &[String], mode: &str) -> Option<Vec<Vec<String>>> {
    let mut child = match Command::new("node")
        .arg(folder().join("snippet.js"))
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            // Printed past the test harness, which would hide it.
            let written = writeln!(
                io::stderr(),
                "NOT COMPARED with the snippet in Node ({error}); the golden files are"
            );
            written.expect("written");
            return None;
        }
    };
    let mut input = child.stdin.take().expect("piped");
    let files = serde_json::to_vec(files).expect("texts");
    let writer = std::thread::spawn(move || input.write_all(&files));
    let output = child.wait_with_output().expect("ran");
    writer.join().expect("no panic").expect("written");
    assert!(output.status.success(), "node failed: {}", output.status);
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let mut expanded: Vec<Vec<_>> =
        output.split("\n\n").map(|file| file.lines().map(str::to_owned).collect()).collect();
    // After the last separator.
    expanded.pop();
    Some(expanded)
}

/// Asserts that both are the same values, entry by entry; numbers are compared as JavaScript sees them.
pub(crate) fn assert_same(ours: &[String], theirs: &[String], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (entry, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let value = |json: &str| as_doubles(serde_json::from_str(json).expect("JSON"));
        assert_eq!(value(ours), value(theirs), "{what}, entry {entry}");
    }
}

fn as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.into_iter().map(as_doubles).collect(),
        Value::Object(values) => values.into_iter().map(|(name, value)| (name, as_doubles(value))).collect(),
        value => value,
    }
}
