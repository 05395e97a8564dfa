//! Without a database that it can use, the command says what to do, and makes nothing.

use std::path::Path;

use jaas_diesel::SqliteStore;

use crate::command::running::jaas;

#[tokio::test]
async fn an_address_that_is_not_one_is_refused_with_the_remedy() {
    let ran = jaas("", &["inbox", "stats"]).await.exits(2);
    assert!(ran.stderr.contains("set DATABASE_URL"), "{}", ran.stderr);
    let ran = jaas("oracle://host/name", &["inbox", "stats"]).await.exits(2);
    assert!(ran.stderr.contains("does not begin with"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("host/name"), "an address can contain a password: {}", ran.stderr);
}

#[tokio::test]
async fn a_file_that_is_missing_is_not_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none.sqlite");
    let ran = jaas(path.to_str().expect("UTF-8"), &["inbox", "stats"]).await.exits(2);
    assert!(ran.stderr.contains("there is no file"), "{}", ran.stderr);
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn a_database_that_is_not_migrated_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("old.sqlite");
    let builder = || SqliteStore::builder(&path);
    builder().apply_migrations().await.expect("applied");
    builder().revert_migration().await.expect("reverted");
    let ran = jaas(path.to_str().expect("UTF-8"), &["inbox", "stats"]).await.exits(3);
    assert!(ran.stderr.contains("is pending"), "{}", ran.stderr);
    let migrations = builder().migrations().await.expect("listed");
    assert!(migrations.last().expect("there are some").applied_at.is_none());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_exit_code_3() {
    // Port 9 of this machine: nothing listens.
    let ran = jaas("postgres://nobody:hush@127.0.0.1:9/none", &["inbox", "stats", "--timeout", "2s"]).await;
    if cfg!(feature = "postgres") {
        let ran = ran.exits(3);
        assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn the_help_names_every_option_and_calls_itself_jaas() {
    for command in ["list", "show", "explain", "groups", "replay", "discard", "stats"] {
        let ran = jaas("", &["inbox", command, "--help"]).await.exits(0);
        assert!(ran.stdout.contains(&format!("Usage: jaas inbox {command}")), "{}", ran.stdout);
    }
}
