//! Errors in settings.

/// Settings that cannot be used as an answer: what is wrong, and what is allowed. It never quotes a passcode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    kind: SettingsErrorKind,
    message: String,
}

/// Which part of the settings is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettingsErrorKind {
    /// The passcode is not one or more ASCII digits.
    Passcode,
    /// `maxOccupants` is outside 2 to 500.
    MaxOccupants,
    /// `participantsSoftLimit` is not a positive number.
    SoftLimit,
    /// A word such as the lobby type is empty or unknown.
    Word,
    /// Two settings contradict each other.
    Contradiction,
    /// An extra key has its own method.
    ExtraKey,
    /// The text is not JSON, or JSON of another shape.
    Shape,
}

impl SettingsError {
    pub(super) fn new(kind: SettingsErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Which part is wrong.
    pub fn kind(&self) -> SettingsErrorKind {
        self.kind
    }
}
