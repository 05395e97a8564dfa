//! A connection over which one request after the other is sent.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came back, and when.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) size: usize,
    pub(crate) took: Duration,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Asks for a page of the console, or sends it a form.
    pub(crate) async fn console(&mut self, path: &str, form: Option<&str>) -> Response {
        let request = match form {
            None => format!("GET /ops/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            Some(form) => format!(
                "POST /ops/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            ),
        };
        self.send(request.as_bytes()).await
    }

    /// Sends a whole request and waits for its whole response.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Response {
        let sent = Instant::now();
        self.stream.write_all(request).await.unwrap();
        self.received.clear();
        loop {
            if let Some((status, head, size)) = self.head()
                && self.received.len() >= head + size
            {
                return Response { status, size, took: sent.elapsed() };
            }
            assert!(self.stream.read_buf(&mut self.received).await.unwrap() > 0, "the server has hung up");
        }
    }

    /// The status, and the sizes of head and body, once the head is there.
    fn head(&self) -> Option<(u16, usize, usize)> {
        let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.received[..end]).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let size = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        Some((status, end, size.unwrap_or(0)))
    }
}

/// The duration that so many percent are not above, in ms.
pub(crate) fn percentile(took: &[Duration], percent: usize) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort();
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or_default().as_secs_f64() * 1e3
}
