//! Writes payload fields as the sender writes them, for code that plays the sender.

use serde_json::{Map, Value};

/// A value that can be written as JSON; `None` when there is nothing to write.
pub(crate) trait Write {
    fn write(&self) -> Option<Value>;
}

/// A payload's fields by wire name.
pub(crate) trait WriteFields {
    fn write_fields(&self, into: &mut Map<String, Value>);
}

impl<T: Write> Write for Option<T> {
    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(Write::write)
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
