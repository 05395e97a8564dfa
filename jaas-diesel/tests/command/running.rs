//! Runs the command.
// Without a feature a part of it is not used.
#![allow(dead_code)]

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// No run should come near it; it only keeps a broken one from hanging.
const GUARD: Duration = Duration::from_secs(120);

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Asserts the exit code; on failure, shows the output.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs it on this database as the user `ada`, without a terminal.
pub(crate) async fn jaas(database: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jaas-db"));
    command.args(args).env("DATABASE_URL", database).env("USER", "ada").stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output =
        tokio::time::timeout(GUARD, ran).await.expect("ended in time").expect("no panic").expect("ran");
    Ran {
        code: output.status.code().expect("a code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
