//! Prints a token for one participant of one meeting, valid for an hour.
//!
//! `tokens ROOM USER [NAME]`, with `JAAS_KEY_FILE` (a PEM file) and `JAAS_KEY_ID` (`<AppID>/<key>`).

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use jaas_core::{Clock as _, SystemClock};
use tokens::{MeetingToken, SigningKey, User};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tokens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (room, user) = match arguments.as_slice() {
        [room, id] => (room, User::new(id)),
        [room, id, name] => (room, User::new(id).named(name)),
        _ => return Err("usage: tokens ROOM USER [NAME]".into()),
    };
    let variable = |name| env::var(name).map_err(|_| format!("{name} is not set; see README.md"));
    let key = SigningKey::read(variable("JAAS_KEY_FILE")?, &variable("JAAS_KEY_ID")?)?;
    writeln!(std::io::stdout(), "{}", MeetingToken::new(room, user).sign(&key, SystemClock.now())?)?;
    Ok(())
}
