//! Writes payload fields as the sender writes them, for code that plays the sender.

use serde_json::{Map, Value};

/// A value that can be written as JSON; `None` when there is nothing to write.
pub(crate) trait Write {
    fn write(&self) -> Option<Value>;

    /// Passes on each link in it, with the wire name of its field.
    #[cfg(feature = "archive")]
    fn links(&self, name: &'static str, found: &mut dyn FnMut(&'static str, &str)) {
        let _ = (name, found);
    }
}

/// A payload's fields by wire name.
pub(crate) trait WriteFields {
    fn write_fields(&self, into: &mut Map<String, Value>);

    /// Passes on each link in them, with the wire name of its field.
    #[cfg(feature = "archive")]
    fn links_within(&self, found: &mut dyn FnMut(&'static str, &str)) {
        let _ = found;
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(Write::write)
    }

    #[cfg(feature = "archive")]
    fn links(&self, name: &'static str, found: &mut dyn FnMut(&'static str, &str)) {
        if let Some(value) = self {
            value.links(name, found);
        }
    }
}

impl<T: Write> Write for Vec<T> {
    fn write(&self) -> Option<Value> {
        Some(self.iter().filter_map(Write::write).collect())
    }
}

impl Write for String {
    fn write(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl Write for bool {
    fn write(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl Write for i64 {
    fn write(&self) -> Option<Value> {
        Some((*self).into())
    }
}
