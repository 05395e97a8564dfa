//! The load: as many requests as go, from so many connections, for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jaas_testkit::Signer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::CONNECTIONS;
use crate::support::{SECRET, request};

/// Requests per second, and how long the middle one and the slowest of a hundred took, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// More than are sent in the time; signed before it begins.
const REQUESTS: usize = 100_000;

/// Prints a [`Speed`].
pub(crate) fn load(port: u16, seconds: f64) {
    let requests = Arc::new(requests());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let speed = runtime.block_on(async {
        // Some requests first, for what is made at first use.
        let next = Arc::new(AtomicUsize::new(0));
        run(port, &requests, &next, Duration::from_millis(300)).await;
        run(port, &requests, &next, Duration::from_secs_f64(seconds)).await
    });
    println!("{} {} {}", speed.rate, speed.p50, speed.p99);
}

fn requests() -> Vec<Vec<u8>> {
    let signer = Signer::new(SECRET).unwrap();
    let now = SystemTime::now().into();
    let run = std::process::id();
    let key = |number| format!("{run:08}-{number:08}-0b7e4c069a83");
    (0..REQUESTS).map(|number| request(&signer, now, number, &key(number))).collect()
}

async fn run(port: u16, requests: &Arc<Vec<Vec<u8>>>, next: &Arc<AtomicUsize>, time: Duration) -> Speed {
    let began = Instant::now();
    let connections = (0..CONNECTIONS).map(|_| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut took, mut answer) = (Vec::new(), Vec::with_capacity(4096));
            while began.elapsed() < time {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let sent = Instant::now();
                stream.write_all(request).await.unwrap();
                answer.clear();
                while !is_whole(&answer) {
                    assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server has hung up");
                }
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
                took.push(sent.elapsed());
            }
            took
        })
    });
    let connections: Vec<_> = connections.collect();
    let mut took = Vec::new();
    for connection in connections {
        took.extend(connection.await.unwrap());
    }
    let lasted = began.elapsed().as_secs_f64();
    took.sort();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default().as_secs_f64();
    Speed { rate: took.len() as f64 / lasted, p50: at(50), p99: at(99) }
}

/// Whether an answer without a body has arrived.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"\r\n\r\n")
}
