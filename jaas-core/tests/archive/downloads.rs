//! Downloads over real sockets into real folders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::archive::{Archive, ArtifactKind, ArtifactQuery, ArtifactStore as _, HttpFetcher, ObjectSink};
use jaas_core::store::{EventStore as _, MemoryStore};
use jaas_core::{Backoff, Clock as _, Handlers, SystemClock, Worker};
use jaas_testkit::archive::{FileServer, Reply, uploaded};
use sha2::{Digest as _, Sha256};

use crate::archive::world::{HOUR, Heard};

/// A file that no part of looks like another.
fn bytes(length: usize) -> Bytes {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect::<Vec<_>>().into()
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    found
}

/// Downloads what these replies make of a file; returns what was kept, what was heard, and the requests.
async fn download(
    replies: impl IntoIterator<Item = Reply>,
    max_bytes: u64,
) -> (Vec<u8>, Vec<String>, FileServer) {
    let server = FileServer::start().await.expect("a server");
    let link = server.serve("/p/token/file.mp4", replies);
    let folder =
        std::env::temp_dir().join(format!("jaas-archive-{}-{}", std::process::id(), server.address().port()));
    let store = Arc::new(MemoryStore::new());
    let fetcher = HttpFetcher::builder().local_files().min_speed(1_000_000).build().expect("a fetcher");
    let archive = Archive::builder(store.clone(), ObjectSink::folder(&folder).expect("a folder"))
        .fetcher(fetcher)
        .backoff(
            Backoff::default().initial_delay(Duration::from_millis(10)).max_delay(Duration::from_millis(20)),
        )
        .poll_interval(Duration::from_millis(10))
        .max_bytes(max_bytes)
        .build()
        .expect("an archive");
    let handlers = Handlers::new().transactional("archive", archive.intake());
    let worker = Worker::builder(store.clone(), handlers).build().expect("a worker").spawn();
    let heard = Heard::default();
    let archiver = archive.spawn(heard.clone());
    let now = SystemClock.now();
    let event = uploaded(ArtifactKind::Recording, "k-1", "s-1", &link, now, now.saturating_add(24 * HOUR));
    store.accept(event).await.expect("accepted");
    let heard_of_it = async {
        while heard.lines().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard_of_it).await.expect("in time");
    archiver.stop(Duration::from_secs(1)).await;
    worker.stop(Duration::from_secs(1)).await;
    let found = files_below(&folder);
    let kept =
        std::fs::read(folder.join("vpaas-magic-cookie-1/math/s-1/recording-k-1.mp4")).unwrap_or_default();
    if heard.lines()[0].starts_with("stored") {
        assert_eq!(found, ["recording-k-1.mp4"], "and nothing else");
        let record = store.artifacts(&ArtifactQuery::default()).await.expect("listed").items.remove(0);
        let hash: [u8; 32] = Sha256::digest(&kept).into();
        assert_eq!(record.kept.expect("kept").sha256, hash);
    } else {
        assert!(found.is_empty(), "{found:?}");
    }
    let _ = std::fs::remove_dir_all(folder);
    (kept, heard.lines(), server)
}

#[tokio::test]
async fn a_file_of_several_parts_is_kept_byte_for_byte() {
    let file = bytes(12_345_678);
    let (kept, heard, server) = download([Reply::file(file.clone())], u64::MAX).await;
    assert!(kept == file);
    assert_eq!(heard, ["stored k-1 12345678"]);
    let request = server.requests().remove(0);
    let host = server.address().to_string();
    assert_eq!(request.headers, [("host".to_owned(), host)], "no header but what is needed");
}

#[tokio::test]
async fn a_transfer_that_breaks_off_goes_on_where_it_stopped() {
    let file = bytes(3_000_000);
    let cut = Reply::file(file.clone()).cut_after(1_000_000);
    let (kept, heard, server) = download([cut.clone(), cut, Reply::file(file.clone())], u64::MAX).await;
    assert!(kept == file);
    assert_eq!(heard, ["stored k-1 3000000"]);
    let ranges: Vec<_> =
        server.requests().iter().map(|seen| seen.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges[0], None);
    assert!(
        ranges[1..].iter().flatten().count() == 2 && server.requests()[1].header("if-range").is_some(),
        "{ranges:?}"
    );
}

#[tokio::test]
async fn without_a_validator_it_begins_again() {
    let file = bytes(300_000);
    let cut = Reply::file(file.clone()).without_validator().cut_after(100_000);
    let (kept, _, server) = download([cut, Reply::file(file.clone())], u64::MAX).await;
    assert!(kept == file);
    assert!(server.requests().iter().all(|request| request.header("range").is_none()));
}

#[tokio::test]
async fn a_file_that_has_changed_meanwhile_is_not_put_together_from_two() {
    let (old, new) = (bytes(300_000), bytes(200_000).slice(1..));
    let cut = Reply::file(old).cut_after(100_000);
    let (kept, heard, _) = download([cut, Reply::file(new.clone())], u64::MAX).await;
    assert!(kept == new);
    assert_eq!(heard, ["stored k-1 199999"]);
}

#[tokio::test]
async fn errors_and_short_bodies_are_tried_again() {
    let file = bytes(100_000);
    let replies = [
        Reply::status(503).times(3),
        Reply::status(403),
        Reply::file(file.clone()).without_validator().header("content-length", "200000"),
        Reply::file(file.clone()).cut_after(0),
        Reply::file(file.clone()),
    ];
    let (kept, heard, _) = download(replies, u64::MAX).await;
    assert!(kept == file);
    assert_eq!(heard, ["stored k-1 100000"]);
}

#[tokio::test]
async fn nothing_is_decompressed_and_an_empty_file_is_a_file() {
    let (kept, _, _) =
        download([Reply::file("\u{1f}\u{8b}not gzip").header("content-encoding", "gzip")], 100).await;
    assert_eq!(kept, "\u{1f}\u{8b}not gzip".as_bytes());
    let (_, heard, _) = download([Reply::file("")], 100).await;
    assert_eq!(heard, ["stored k-1 0"]);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_at_risk_and_not_kept() {
    let file = bytes(100_001);
    let (kept, heard, _) = download([Reply::file(file)], 100_000).await;
    assert!(kept.is_empty());
    assert_eq!(heard, ["at risk k-1 23"]);
}
