//! `--once` keeps what can be kept, and says what was lost.

use std::time::Duration;

use tokio::process::Command;

#[tokio::test]
async fn once_prints_what_was_kept_and_what_was_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let played = Command::new(env!("CARGO_BIN_EXE_archive"))
        .arg("--once")
        .env_remove("JAAS_WEBHOOK_SECRET")
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", folder.path().join("jaas.sqlite"))
        .env("ARCHIVE_DIR", folder.path().join("archive"))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), played).await.expect("in time").expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let ends: Vec<Vec<&str>> = printed
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    let end = |kind: &str| {
        let end = ends.iter().find(|words| words.get(1) == Some(&kind)).expect(kind);
        (end[0], end[3])
    };
    for kind in ["recording", "chat", "transcription"] {
        assert_eq!(end(kind), ("stored", "3000000"), "{kind}");
    }
    assert_eq!(end("video_segment"), ("lost", "expired"));
    assert_eq!(end("document"), ("lost", "gone"));
    assert_eq!(end("rtcstats"), ("lost", "refused"));
    assert_eq!(ends.len(), 6, "each end is printed once: {printed}");
}
