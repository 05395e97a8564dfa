//! Writes results to standard output and everything else to standard error.

use std::io::{self, Write as _};

use jaas_core::telemetry::Escaped;
use serde_json::Value;

/// Standard output, as text or as JSON.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes the result: one JSON value, or text.
    pub(crate) fn result(&self, json: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json { self.write(format!("{json:#}\n").as_bytes()) } else { self.write(text().as_bytes()) }
    }

    /// Writes these bytes.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Writes the reason of a failure on one line: parts of it can come from a file or a response.
    pub(crate) fn complain(&self, message: &str) {
        // There is nowhere to report that standard error cannot be written.
        let _ = writeln!(io::stderr().lock(), "jaas: {}", Escaped(message));
    }
}
