//! What is wrong with settings.

/// Settings that cannot be answered: what is wrong, and what is allowed. It never quotes a passcode.
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
    /// `maxOccupants` lies outside 2 to 500.
    MaxOccupants,
    /// `participantsSoftLimit` is no positive number.
    SoftLimit,
    /// A word such as the lobby type is empty or not known.
    Word,
    /// Two settings contradict each other.
    Contradiction,
    /// An extra key is one that has a method of its own.
    ExtraKey,
    /// The text is no JSON, or JSON of another shape.
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
