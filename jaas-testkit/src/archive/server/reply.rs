//! A response of the server of files.

use std::time::Duration;

use bytes::Bytes;

/// The response to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) headers: Vec<(String, String)>,
    pub(super) validator: bool,
    pub(super) cut_after: Option<usize>,
    pub(super) stall_after: Option<usize>,
    pub(super) pace: Option<Duration>,
    pub(super) times: usize,
}

impl Reply {
    /// A file. The server has an entity tag for it, and sends parts of it when it is asked to.
    pub fn file(bytes: impl Into<Bytes>) -> Self {
        Self { body: bytes.into(), validator: true, ..Self::status(200) }
    }

    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            body: Bytes::new(),
            headers: Vec::new(),
            validator: false,
            cut_after: None,
            stall_after: None,
            pace: None,
            times: 1,
        }
    }

    /// A redirect to another place.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("location", to)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Has no entity tag, so that a transfer cannot go on where it stopped.
    #[must_use]
    pub fn without_validator(mut self) -> Self {
        self.validator = false;
        self
    }

    /// Closes the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Sends nothing more after so many bytes of the body, and keeps the connection open.
    #[must_use]
    pub fn stall_after(mut self, bytes: usize) -> Self {
        self.stall_after = Some(bytes);
        self
    }

    /// Waits so long before the body.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.pace = Some(pause);
        self
    }

    /// Replies to so many requests like this before the next reply of the script.
    #[must_use]
    pub fn times(mut self, requests: usize) -> Self {
        self.times = requests.max(1);
        self
    }
}
