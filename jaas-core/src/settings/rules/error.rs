//! What is wrong with room rules.

use std::fmt;

/// An error in a file of room rules: where, why, and what is allowed. It never quotes a passcode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesError {
    kind: RulesErrorKind,
    file: String,
    line: Option<usize>,
    message: String,
}

/// The kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RulesErrorKind {
    /// The file cannot be read.
    Unreadable,
    /// It is not well-formed TOML or JSON, or holds something that is not allowed.
    NotAllowed,
    /// A rule comes after a rule that matches everything it would.
    NeverMatches,
    /// There is neither a rule nor a default.
    Empty,
}

impl RulesError {
    pub(super) fn new(
        kind: RulesErrorKind,
        file: &str,
        line: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, file: file.to_owned(), line, message: message.into() }
    }

    /// The kind of mistake.
    pub fn kind(&self) -> RulesErrorKind {
        self.kind
    }

    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line in it, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for RulesError {}
