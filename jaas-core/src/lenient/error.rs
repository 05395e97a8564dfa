//! Why `data` did not decode.

use std::fmt;

/// Why `data` did not decode as the payload of its event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    kind: DecodeErrorKind,
    message: String,
}

/// In which way `data` does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// It has another shape than the event's payload, such as a list in the place of an object.
    Shape,
    /// It is not of the type that the application asked for.
    Type,
}

impl DecodeError {
    pub(super) fn shape(expected: &'static str, found: impl fmt::Display) -> Self {
        let message = format!("`data` is {found}, where {expected} was expected");
        Self { kind: DecodeErrorKind::Shape, message }
    }

    /// Names the type, the place, and what is missing, but never a value, which may be a participant's name.
    pub(crate) fn wrong_type<T>(error: &serde_json::Error) -> Self {
        let found = error.to_string();
        // The one message that names a field of the type and nothing of the data.
        let problem = match found.split_once(" at line ") {
            Some((problem, _)) if problem.starts_with("missing field") => problem,
            _ => "a value has another type or shape",
        };
        let (wanted, line, column) = (std::any::type_name::<T>(), error.line(), error.column());
        let message =
            format!("`data` cannot be decoded as {wanted} at line {line}, column {column}: {problem}");
        Self { kind: DecodeErrorKind::Type, message }
    }

    /// In which way `data` does not fit.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}
