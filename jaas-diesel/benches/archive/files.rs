//! A server of files of any length, as a process. `/{bytes}/{bytes per second}/{name}` is a file; without a limit at 0.

use std::io::{self, BufRead as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// How much is sent at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// The running process; dropping it ends it.
pub(crate) struct Files {
    process: Child,
    address: String,
}

impl Files {
    pub(crate) fn start() -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .env(crate::ROLE, "files")
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.unwrap();
        let mut address = String::new();
        io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }

    /// The link to a file of this length, at this speed.
    pub(crate) fn link(&self, bytes: u64, per_second: u64, name: &str) -> String {
        format!("http://{}/{bytes}/{per_second}/{name}", self.address)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints its address, and serves until it is killed.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // A client may go away.
        tokio::spawn(async move { drop(Box::pin(send(stream)).await) });
    }
}

async fn send(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut numbers = path.split('/').skip(1).map(|part| part.parse::<u64>().unwrap_or_default());
    let (bytes, per_second) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = [7; CHUNK as usize];
    let (began, mut sent) = (Instant::now(), 0);
    while sent < bytes {
        let next = CHUNK.min(bytes - sent);
        stream.write_all(&chunk[..next as usize]).await?;
        sent += next;
        if per_second > 0 {
            sleep_until(began + Duration::from_secs_f64(sent as f64 / per_second as f64)).await;
        }
    }
    stream.shutdown().await
}
