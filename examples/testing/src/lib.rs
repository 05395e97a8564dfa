//! A small application, and in `tests/` its tests, which need no tenant, tunnel, database or server.
//!
//! - `plain_handler`: give a handler an event, check what it did.
//! - `mocked_handler`: expect calls of a handler, or of a store, behind your code.
//! - `duplicates`: copies, failures and lost answers.
//! - `shuffled_meeting`: a whole meeting in any order.
//! - `settings_timeout`: a provider of meeting settings that times out.

mod attendance;
mod private_rooms;
mod test_rooms;

pub use self::attendance::Attendance;
pub use self::private_rooms::{Calendar, PrivateRooms};
pub use self::test_rooms::WithoutTestRooms;
