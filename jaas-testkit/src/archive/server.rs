//! A server of files that fails on request.

mod reply;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub use self::reply::Reply;

/// How long a connection may take to send its request.
const REQUEST: Duration = Duration::from_secs(10);

/// A server of files on this machine, over HTTP without TLS. It replies to each request for a path with the next
/// [`Reply`] of its script, and with the last one from then on. It ends when it is dropped.
///
/// A fetcher fetches from it only with `HttpFetcher::builder().local_files()` and the feature `archive-local-files`.
///
/// ```
/// use jaas_testkit::archive::{FileServer, Reply};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = FileServer::start().await?;
/// let replies = [Reply::status(503), Reply::file("bytes").cut_after(2), Reply::file("bytes")];
/// let link = server.serve("/recording.mp4", replies);
/// assert!(link.starts_with("http://127.0.0.1:"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: HashMap<String, Script>,
    seen: Vec<SeenRequest>,
    /// For paths without a script; after its last reply it begins again.
    otherwise: Script,
}

#[derive(Debug, Default)]
struct Script {
    replies: Vec<Reply>,
    next: usize,
}

impl Script {
    fn again(&mut self) -> Option<Reply> {
        let reply = self.replies.get(self.next % self.replies.len().max(1)).cloned();
        self.next += 1;
        reply
    }
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The path, with its query.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
}

impl SeenRequest {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

impl FileServer {
    /// Starts a server on a free port, in a task of the current runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a server at this address.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let task = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// Replies to requests for this path with these, in turn; returns the link.
    pub fn serve(&self, path: &str, replies: impl IntoIterator<Item = Reply>) -> String {
        let replies = replies.into_iter().flat_map(|reply| std::iter::repeat_n(reply.clone(), reply.times));
        let script = Script { replies: replies.collect(), next: 0 };
        lock(&self.shared).scripts.insert(path.to_owned(), script);
        self.link(path)
    }

    /// Replies to requests for paths without a script with these, in turn, again and again. Without it they are 404.
    pub fn otherwise(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.shared).otherwise = Script { replies: replies.into_iter().collect(), next: 0 };
    }

    /// The link to this path.
    pub fn link(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that came, in their order.
    pub fn requests(&self) -> Vec<SeenRequest> {
        lock(&self.shared).seen.clone()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = shared.clone();
                connections.spawn(async move {
                    // A client may go away; the server does not mind.
                    let _ = reply(stream, &shared).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Replies to one request, and closes the connection.
async fn reply(mut stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let request = tokio::time::timeout(REQUEST, read(&mut stream)).await??;
    let reply = {
        let mut shared = lock(shared);
        shared.seen.push(request.clone());
        let scripted = shared.scripts.get_mut(&request.path).and_then(|script| {
            let reply = script.replies.get(script.next).or(script.replies.last()).cloned();
            script.next += 1;
            reply
        });
        scripted.or_else(|| shared.otherwise.again()).unwrap_or_else(|| Reply::status(404))
    };
    write(&mut stream, &request, reply).await
}

async fn read(stream: &mut TcpStream) -> io::Result<SeenRequest> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(SeenRequest { path, headers })
}

async fn write(stream: &mut TcpStream, request: &SeenRequest, reply: Reply) -> io::Result<()> {
    let Reply { mut status, body, headers, validator, cut_after, stall_after, pace, .. } = reply;
    let tag = format!("\"{}-{:?}\"", body.len(), body.first());
    let total = body.len();
    let from = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .filter(|from| validator && *from <= total && request.header("if-range") == Some(&*tag));
    let body = body.slice(from.unwrap_or(0)..);
    let mut head = Vec::new();
    if let Some(from) = from {
        status = 206;
        head.push(("content-range".to_owned(), format!("bytes {from}-{}/{total}", total.saturating_sub(1))));
    }
    if validator {
        head.push(("etag".to_owned(), tag));
    }
    head.push(("content-length".to_owned(), body.len().to_string()));
    head.push(("connection".to_owned(), "close".to_owned()));
    head.extend(headers);
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in head {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await?;
    if let Some(pause) = pace {
        tokio::time::sleep(pause).await;
    }
    let end = cut_after.or(stall_after).unwrap_or(body.len()).min(body.len());
    stream.write_all(&body[..end]).await?;
    stream.flush().await?;
    if stall_after.is_some() {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}
