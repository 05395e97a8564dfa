//! The bytes of a response.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::archive::fetch::FetchError;

/// How much a server must send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    pub(super) bytes_per_second: u64,
    pub(super) over: Duration,
}

/// The task that moves the bytes of a connection. It ends with this.
pub(super) struct Connection(JoinHandle<()>);

impl Connection {
    pub(super) fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            // Its error is that of the response or of its body.
            let _ = connection.await;
        }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Reading {
    body: Incoming,
    _connection: Connection,
    /// How many bytes are to come.
    expected: Option<u64>,
    floor: Floor,
    /// How long this side has waited for the server since it last checked the speed, and what the server has sent in
    /// that time. Time in which the reader asks for nothing does not count.
    waited: Duration,
    sent: u64,
}

/// The body as a stream that ends with an error when it ends too soon or the server is too slow.
pub(super) fn stream(
    body: Incoming,
    connection: Connection,
    expected: Option<u64>,
    floor: Floor,
) -> BoxStream<'static, Result<Bytes, FetchError>> {
    let reading = Reading { body, _connection: connection, expected, floor, waited: Duration::ZERO, sent: 0 };
    stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let asked = Instant::now();
            let left = self.floor.over.saturating_sub(self.waited);
            let frame = timeout(left, self.body.frame()).await;
            self.waited += asked.elapsed();
            let bytes = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => {
                    return Err(FetchError::failed(format!("the transfer broke off: {error}")));
                }
                Ok(None) => {
                    return match self.expected {
                        Some(left) if left > 0 => Err(FetchError::failed("the file ended too soon")),
                        _ => Ok(None),
                    };
                }
                Err(_) => Bytes::new(),
            };
            self.sent += bytes.len() as u64;
            if self.waited >= self.floor.over {
                let due = self.floor.bytes_per_second.saturating_mul(self.floor.over.as_secs().max(1));
                if self.sent < due {
                    return Err(FetchError::failed(format!(
                        "the server sent {} bytes in {:?}, which is too slow",
                        self.sent, self.floor.over
                    )));
                }
                (self.waited, self.sent) = (Duration::ZERO, 0);
            }
            if let Some(expected) = &mut self.expected {
                *expected = expected.saturating_sub(bytes.len() as u64);
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}
