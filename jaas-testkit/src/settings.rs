//! For testing providers of the settings of a meeting.

mod answer;
pub mod conformance;
mod mock;
mod question;
mod scripted;

pub use self::answer::{InvalidAnswer, assert_valid_for_jaas, check_answer};
pub use self::mock::MockSettingsProvider;
pub use self::question::{SettingsQuestion, settings_request};
pub use self::scripted::{Script, ScriptedProvider};
