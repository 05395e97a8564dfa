//! Writes results to standard output and everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use jaas_core::store::RowId;
use jaas_core::telemetry::Escaped;
use serde_json::Value;

use crate::failure::Failure;

/// Standard output, as text or as JSON.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Writes the result: one JSON value, or text.
    pub(crate) fn result(&self, json: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json { format!("{json:#}\n") } else { text() };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Writes the reason of a failure on one line: parts of it can come from a stored event.
    pub(crate) fn complain(&self, message: &str) {
        // There is nowhere to report that standard error cannot be written.
        let _ = writeln!(io::stderr().lock(), "jaas: {}", Escaped(message));
    }

    /// Asks the operator on the terminal.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::usage(format!(
                "{question} there is no terminal to ask on; pass --yes to go ahead"
            )));
        }
        write!(io::stderr().lock(), "{} [y/N] ", Escaped(question))?;
        let mut reply = String::new();
        io::stdin()
            .read_line(&mut reply)
            .map_err(|error| Failure::usage(format!("cannot read the reply: {error}")))?;
        if matches!(reply.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::no("nothing was changed"))
    }
}

/// A table whose columns are as wide as their widest cell. What others wrote is escaped.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| Escaped(cell).to_string()).to_vec());
    }

    pub(crate) fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// How to see the rows that follow a page.
pub(crate) fn more(next: Option<RowId>) -> String {
    next.map(|next| format!("more follow: --after {next}\n")).unwrap_or_default()
}

/// The first characters of a text, for a cell.
pub(crate) fn short(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
