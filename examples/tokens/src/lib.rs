//! JaaS tokens: for the participants of a meeting, and for the two commands that an application needs most: removing a
//! participant and ending a meeting.
//!
//! - [`SigningKey`] is the private key of the JaaS console, from a PEM file.
//! - [`MeetingToken`] lets a participant in; [`SigningKey::admin`] lets this application give commands.
//! - [`Commands`] gives them.
//! - [`Doorkeeper`] is a handler that does so when events arrive.

mod commands;
mod doorkeeper;
mod key;
mod token;

pub use self::commands::{CommandError, CommandErrorKind, Commands};
pub use self::doorkeeper::Doorkeeper;
pub use self::key::{KeyError, KeyErrorKind, SigningKey};
pub use self::token::{Feature, MeetingToken, User};
