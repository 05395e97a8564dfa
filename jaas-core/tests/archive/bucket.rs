//! A server that speaks as much of the protocol of S3 as an upload in parts needs. It checks no signature.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct State {
    refuses: bool,
    /// Parts of uploads that are not complete: path and number of the part, and its length.
    parts: BTreeMap<(String, u32), usize>,
    /// Paths and lengths of objects.
    objects: BTreeMap<String, usize>,
}

pub(crate) struct Bucket {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { endpoint, state }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether each request is refused with 403.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.lock().expect("not poisoned").refuses = refuses;
    }

    /// The path and the length of each object.
    pub(crate) fn objects(&self) -> Vec<(String, usize)> {
        let state = self.state.lock().expect("not poisoned");
        state.objects.iter().map(|(path, length)| (path.clone(), *length)).collect()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length = head
            .iter()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (status, text) = state.lock().expect("not poisoned").reply(method, path, query, body.len());
        let reply = format!(
            "HTTP/1.1 {status} Scripted\r\netag: \"part\"\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(reply.as_bytes()).await?;
    }
}

impl State {
    fn reply(&mut self, method: &str, path: &str, query: &str, bytes: usize) -> (u16, &'static str) {
        if self.refuses {
            return (403, "<Error><Code>AccessDenied</Code></Error>");
        }
        let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok());
        match (method, number) {
            ("POST", _) if query.starts_with("uploads") => {
                (200, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
            }
            ("PUT", Some(number)) => {
                self.parts.insert((path.to_owned(), number), bytes);
                (200, "")
            }
            ("POST", _) => {
                let length =
                    self.parts.iter().filter(|((of, _), _)| of == path).map(|(_, length)| length).sum();
                self.objects.insert(path.to_owned(), length);
                (200, "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>")
            }
            ("DELETE", _) => {
                self.parts.retain(|(of, _), _| of != path);
                (204, "")
            }
            _ => (501, ""),
        }
    }
}
