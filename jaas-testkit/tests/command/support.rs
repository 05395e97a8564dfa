//! Runs the command.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
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

/// Runs it with the secret in the environment.
pub(crate) async fn jaas(args: &[&str]) -> Ran {
    run(args, &[("JAAS_WEBHOOK_SECRET", SECRET)], b"").await
}

/// Runs it with these variables and this standard input.
pub(crate) async fn run(args: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jaas"))
        .args(args)
        .env_remove("JAAS_WEBHOOK_SECRET")
        .env_remove("JAAS_WEBHOOK_AUTHORIZATION")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    // It may end without reading its input.
    let _ = child.stdin.take().expect("piped").write_all(input).await;
    let output =
        tokio::time::timeout(GUARD, child.wait_with_output()).await.expect("ended in time").expect("ran");
    Ran {
        code: output.status.code().expect("a code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
