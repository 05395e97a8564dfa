//! The pages for operators need their password.
#![cfg(unix)]
#![allow(clippy::expect_used)]

mod support;

use std::path::Path;

use support::{Server, event};
use tokio::process::Command;

const PASSWORD: &str = "a password of this test";

fn with_console(password: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.arg("--console").env_remove("JAAS_CONSOLE_PASSWORD");
    if let Some(password) = password {
        command.env("JAAS_CONSOLE_PASSWORD", password);
    }
    command
}

/// A server that has handled one event.
async fn server(command: Command, folder: &Path) -> Server {
    let mut server = Server::start_with(command, &folder.join("jaas.sqlite")).await;
    assert_eq!(server.deliver(&event("the-key")).await, 200);
    server.handled(1).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_password_the_console_shows_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(with_console(Some(PASSWORD)), folder.path()).await;
    let wrong = [None, Some(("ops", "a password of the test")), Some(("ops", "")), Some(("root", PASSWORD))];
    for login in wrong {
        for path in ["/ops", "/ops/", "/ops/overview", "/ops/inbox", "/ops/event?id=1", "/ops/nothing"] {
            let response = server.console(path, login).await;
            assert_eq!(response.status(), 401, "{path} with {login:?}");
            let challenge = response.headers().get("www-authenticate").expect("a challenge").as_bytes();
            assert!(challenge.starts_with(b"Basic "), "{path}");
            assert_eq!(response.text().await.expect("text"), "", "{path} with {login:?}");
        }
    }
    assert_eq!(server.get("/livez").await, 200, "the other routes need no password");
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_password_the_console_shows_the_inbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(with_console(Some(PASSWORD)), folder.path()).await;
    let overview = server.console("/ops/", Some(("ops", PASSWORD))).await;
    assert_eq!((overview.status().as_u16(), overview.url().path()), (200, "/ops/overview"));
    let overview = overview.text().await.expect("text");
    assert!(overview.contains("<h1>Overview</h1>") && overview.contains("Signed in as ops"), "{overview}");
    let inbox = server.console("/ops/inbox?key=the-key", Some(("ops", PASSWORD))).await;
    assert!(inbox.text().await.expect("text").contains("PARTICIPANT_JOINED"));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_password_a_random_one_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut passwords = Vec::new();
    for _ in 0..2 {
        let mut server = Server::start_with(with_console(None), &folder.path().join("jaas.sqlite")).await;
        let line = server.printed("console: ").await;
        let password = line.rsplit(' ').next().expect("a password").to_owned();
        assert_eq!(server.console("/ops/overview", Some(("ops", &password))).await.status(), 200, "{line}");
        assert_eq!(server.terminate().await, Some(0));
        passwords.push(password);
    }
    assert_ne!(passwords[0], passwords[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_password_is_not_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server =
        Server::start_with(with_console(Some(PASSWORD)), &folder.path().join("jaas.sqlite")).await;
    let line = server.printed("console: ").await;
    assert!(line.contains("/ops/") && !line.contains(PASSWORD), "{line}");
    // Only a server that serves ends in order when it is told to.
    assert_eq!(server.get("/livez").await, 200);
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_there_is_no_console() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("jaas.sqlite")).await;
    assert_eq!(server.console("/ops/overview", Some(("ops", PASSWORD))).await.status(), 404);
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_password_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = with_console(Some("short"));
    command.env("JAAS_BIND", "127.0.0.1:0").env("JAAS_DATABASE", folder.path().join("jaas.sqlite"));
    let output = command.output().await.expect("run");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("12 characters"), "{output:?}");
}
