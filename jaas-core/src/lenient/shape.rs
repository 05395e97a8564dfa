//! What a raw JSON value is, by its first character.

use std::fmt;

/// The type of a raw JSON value, recognized by its first character.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Object,
    List,
    String,
    Number,
    Bool,
    Null,
}

pub(super) fn shape(raw: &str) -> Shape {
    match raw.as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::List,
        Some(b'"') => Shape::String,
        Some(b't' | b'f') => Shape::Bool,
        Some(b'-' | b'0'..=b'9') => Shape::Number,
        _ => Shape::Null,
    }
}

impl Shape {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::List => "list",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Null => "null",
        }
    }
}

/// The name of the JSON type of a raw value.
pub(crate) fn type_name(raw: &str) -> &'static str {
    shape(raw).name()
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::List => "a list",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a bool",
            Self::Null => "null",
        })
    }
}

/// Whether a raw value means that there is none.
pub(crate) fn is_nothing(raw: &str) -> bool {
    match shape(raw) {
        Shape::Null => true,
        Shape::String | Shape::Object | Shape::List => is_empty(raw),
        Shape::Number | Shape::Bool => false,
    }
}

/// Whether a raw object, list or string has nothing between its ends.
pub(super) fn is_empty(raw: &str) -> bool {
    raw.get(1..raw.len().saturating_sub(1)).is_some_and(|inside| inside.trim().is_empty())
}
