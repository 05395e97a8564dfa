//! Writing payload fields as the sender writes them, for those who play the sender.

use serde_json::{Map, Value};

use crate::{Room, Timestamp};

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

impl WriteFields for Room {
    fn write_fields(&self, into: &mut Map<String, Value>) {
        into.insert("isBreakout".to_owned(), self.is_breakout().into());
        if let Some(id) = self.breakout_id() {
            into.insert("breakoutRoomId".to_owned(), id.as_str().into());
        }
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

impl Write for Timestamp {
    fn write(&self) -> Option<Value> {
        Some(self.as_millis().into())
    }
}
