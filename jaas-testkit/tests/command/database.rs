//! `jaas inbox` runs another program.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::Ran;

/// A copy of the command in a folder, so that no other program is beside it.
async fn jaas_in(folder: &Path, path: &str, args: &[&str]) -> Ran {
    let program = folder.join("jaas");
    if !program.exists() {
        by_another_process("cp \"$0\" \"$1\"", [env!("CARGO_BIN_EXE_jaas").as_ref(), &program]);
    }
    let output = Command::new(&program)
        .args(args)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("started");
    Ran {
        code: output.status.code().expect("a code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A program that prints who it is and its arguments, and ends with this code.
fn stand_in(folder: &Path, name: &str, code: i32) {
    let text = folder.join("jaas-db.sh");
    std::fs::write(&text, format!("#!/bin/sh\nprintf '{name}'\nprintf ' <%s>' \"$@\"\nexit {code}\n"))
        .expect("written");
    by_another_process("cp \"$0\" \"$1\" && chmod +x \"$1\"", [&text, &folder.join("jaas-db")]);
}

/// Another process writes a file that is to be executed: a test that starts a program just now would inherit this
/// process's file while it is open for writing, and the system executes no such file (`ETXTBSY`).
fn by_another_process(script: &str, [from, to]: [&Path; 2]) {
    let status =
        std::process::Command::new("sh").arg("-c").arg(script).args([from, to]).status().expect("started");
    assert!(status.success(), "{script}: {status}");
}

#[tokio::test]
async fn inbox_runs_the_program_beside_it_or_that_of_path() {
    let [here, elsewhere] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let path = elsewhere.path().to_str().expect("UTF-8");
    let ran = jaas_in(here.path(), path, &["inbox", "list"]).await.exits(2);
    assert!(ran.stderr.contains("cargo install jaas-diesel --features command"), "{}", ran.stderr);

    stand_in(elsewhere.path(), "path", 0);
    let ran = jaas_in(here.path(), path, &["inbox", "list", "--state", "dead"]).await.exits(0);
    assert_eq!(ran.stdout, "path <inbox> <list> <--state> <dead>");
    for command in ["gaps", "drift"] {
        let ran = jaas_in(here.path(), path, &[command, "--after", "7"]).await.exits(0);
        assert_eq!(ran.stdout, format!("path <{command}> <--after> <7>"));
    }
    stand_in(here.path(), "beside", 3);
    let ran = jaas_in(here.path(), path, &["--json", "inbox", "--help"]).await.exits(3);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("beside <--json> <inbox> <--help>", ""));
}
