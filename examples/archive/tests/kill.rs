//! The server is killed again and again while it fetches from a server that fails: every file is kept, whole, and once.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use diesel::QueryDsl as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use jaas_core::archive::ArtifactKind;
use jaas_core::signature::{self, Secret};
use jaas_core::{Clock as _, SystemClock};
use jaas_diesel::sqlite::Connection;
use jaas_testkit::archive::{FileServer, Reply, uploaded};
use tokio::process::{Child, Command};
use tokio::time::sleep;

const SECRET: &str = "whsec_of_this_test";
const FILES: usize = 200;
const KILLS: u64 = 8;
const BYTES: usize = 200_000;

diesel::table! {
    files (artifact) {
        artifact -> BigInt,
        idempotency_key -> Text,
        bytes -> BigInt,
        lost -> Nullable<Text>,
    }
}

fn start(folder: &Path, bind: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_archive"))
        .env("JAAS_WEBHOOK_SECRET", SECRET)
        .env("JAAS_BIND", bind)
        .env("JAAS_DATABASE", folder.join("jaas.sqlite"))
        .env("ARCHIVE_DIR", folder.join("archive"))
        .env("RUST_LOG", "warn")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("started")
}

async fn ended(folder: &Path) -> Vec<(String, i64, Option<String>)> {
    let path = folder.join("jaas.sqlite");
    let Ok(mut connection) = Connection::establish(path.to_str().expect("UTF-8")).await else {
        return Vec::new();
    };
    let rows = files::table.select((files::idempotency_key, files::bytes, files::lost));
    rows.load(&mut connection).await.unwrap_or_default()
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn every_file_is_kept_whole_and_once_however_often_the_process_dies() {
    let server = FileServer::start().await.expect("a file server");
    // 30 % busy, 5 % stalled, 2 % cut short.
    server.otherwise((0..100_u32).map(|number| match number * 37 % 100 {
        0..30 => Reply::status(503),
        30..35 => Reply::file(vec![1; BYTES]).stall_after(BYTES / 2),
        35..37 => Reply::file(vec![1; BYTES]).cut_after(BYTES / 3),
        _ => Reply::file(vec![1; BYTES]),
    }));
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let bind = free.local_addr().expect("an address").to_string();
    drop(free);

    let mut process = start(folder.path(), &bind);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
    let secret = Secret::new(SECRET).expect("a secret");
    for number in 0..FILES {
        let now = SystemClock.now();
        let link = server.link(&format!("/{number}.mp4"));
        let key = format!("k-{number}");
        let deadline = now.saturating_add(Duration::from_secs(24 * 60 * 60));
        let event =
            uploaded(ArtifactKind::Recording, &key, &format!("s-{}", number % 20), &link, now, deadline);
        let sent = async || {
            let signature = signature::sign(&secret, SystemClock.now(), event.body());
            let request = client
                .post(format!("http://{bind}/webhooks/jaas"))
                .header("X-Jaas-Signature", signature)
                .body(event.body().to_vec());
            request.send().await.is_ok_and(|response| response.status().is_success())
        };
        while !sent().await {
            sleep(Duration::from_millis(50)).await;
        }
    }
    for kill in 0..KILLS {
        sleep(Duration::from_millis(600 + 150 * (kill % 4))).await;
        process.kill().await.expect("killed");
        process = start(folder.path(), &bind);
    }
    let began = Instant::now();
    while ended(folder.path()).await.len() < FILES {
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "{} of {FILES} have ended",
            ended(folder.path()).await.len()
        );
        sleep(Duration::from_millis(500)).await;
    }
    process.kill().await.expect("killed");

    let rows = ended(folder.path()).await;
    let mut keys: Vec<_> = rows.iter().map(|(key, ..)| key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((rows.len(), keys.len()), (FILES, FILES), "each once");
    assert!(rows.iter().all(|(_, bytes, lost)| *bytes == BYTES as i64 && lost.is_none()), "none is lost");
    let visible: Vec<_> = files_below(&folder.path().join("archive"))
        .into_iter()
        // What was being written when the process died: not an object, and removed later.
        .filter(|path| !path.to_string_lossy().contains('#'))
        .collect();
    assert_eq!(visible.len(), FILES);
    for path in visible {
        assert_eq!(std::fs::metadata(&path).expect("a file").len(), BYTES as u64, "{}", path.display());
    }
}
