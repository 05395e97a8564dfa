//! A small application, and in `tests/` how it is tested: without a tenant, a tunnel, a database or a server.
//!
//! - `plain_handler`: give a handler an event, look at what it did.
//! - `mocked_handler`: expect calls of a handler, or of a store, that is around or behind your code.
//! - `duplicates`: copies, failures and answers that get lost.
//! - `shuffled_meeting`: a whole meeting in any order.
//! - `settings_deadline`: a provider of meeting settings that does not answer in time.

mod attendance;
mod private_rooms;
mod test_rooms;

pub use self::attendance::Attendance;
pub use self::private_rooms::{Calendar, PrivateRooms};
pub use self::test_rooms::WithoutTestRooms;
