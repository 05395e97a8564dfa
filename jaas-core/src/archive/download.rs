//! One download, from the first byte to the object in the sink.

use std::time::Duration;

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::fetch::{Fetch, FetchError, FetchErrorKind, Fetched, Resume};
use super::name::ObjectName;
use super::sink::{Sink, SinkError, Upload};
use super::store::Kept;
use crate::private::Link;

/// How often one download goes on after it broke off, before it is begun again later.
const MOST_RESUMES: u32 = 20;

/// How long to wait before it goes on.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a download gets its bytes from and where they go.
pub(super) struct Download<'a> {
    pub(super) fetcher: &'a dyn Fetch,
    pub(super) sink: &'a dyn Sink,
    pub(super) max_bytes: u64,
    /// When this is cancelled, the download ends.
    pub(super) cut: &'a CancellationToken,
}

/// Why a file is not in the sink.
#[derive(Debug)]
pub(super) enum Trouble {
    Fetch(FetchError),
    Sink(SinkError),
    /// The archiver stops, or the lease was lost.
    Cut,
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<SinkError> for Trouble {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// What is written so far.
struct Written {
    upload: Box<dyn Upload>,
    hash: Sha256,
    bytes: u64,
}

impl Download<'_> {
    /// Fetches a file into this object. Parts of it are never visible.
    pub(super) async fn run(&self, link: &Link, name: &ObjectName) -> Result<Kept, Trouble> {
        let mut written: Option<Written> = None;
        let result = self.whole(link, name, &mut written).await;
        match (result, written) {
            (Ok(()), Some(written)) => {
                let sha256 = written.hash.finalize().into();
                Ok(Kept { object: name.as_str().to_owned(), bytes: written.bytes, sha256 })
            }
            (result, written) => {
                if let Some(mut written) = written {
                    written.upload.abort().await;
                }
                Err(result.err().unwrap_or(Trouble::Cut))
            }
        }
    }

    async fn whole(
        &self,
        link: &Link,
        name: &ObjectName,
        written: &mut Option<Written>,
    ) -> Result<(), Trouble> {
        let mut resume: Option<Resume> = None;
        for _ in 0..=MOST_RESUMES {
            let fetched = self.unless_cut(self.fetcher.fetch(link, resume.as_ref())).await?;
            let before = written.as_ref().map_or(0, |written| written.bytes);
            if fetched.from == 0 {
                if let Some(mut useless) = written.take() {
                    useless.upload.abort().await;
                }
                let upload = self.sink.begin(name).await?;
                *written = Some(Written { upload, hash: Sha256::new(), bytes: 0 });
            }
            let Some(to) = written.as_mut().filter(|to| to.bytes == fetched.from) else {
                return Err(FetchError::failed("the file goes on at another byte than was asked for").into());
            };
            let validator = fetched.validator.clone();
            match self.copy(fetched, to).await {
                Ok(()) => return Ok(to.upload.commit().await?),
                // It broke off in the middle, and goes on.
                Err(Trouble::Fetch(error)) if error.kind() == FetchErrorKind::Failed => {
                    let moved = to.bytes > before;
                    let Some(validator) = validator.filter(|_| moved) else { return Err(error.into()) };
                    resume = Some(Resume { from: to.bytes, validator });
                    let pause = async {
                        tokio::time::sleep(PAUSE).await;
                        Ok(())
                    };
                    self.unless_cut(pause).await?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(FetchError::failed(format!("the transfer broke off {MOST_RESUMES} times")).into())
    }

    /// Copies a body to its end.
    async fn copy(&self, fetched: Fetched, to: &mut Written) -> Result<(), Trouble> {
        let Fetched { length, mut body, .. } = fetched;
        self.check_size(length.unwrap_or_default())?;
        while let Some(bytes) = self.unless_cut(async { body.next().await.transpose() }).await? {
            self.check_size(to.bytes + bytes.len() as u64)?;
            to.hash.update(&bytes);
            to.bytes += bytes.len() as u64;
            to.upload.write(bytes).await?;
        }
        match length {
            Some(length) if length != to.bytes => {
                Err(FetchError::failed(format!("{} of {length} bytes came", to.bytes)).into())
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, bytes: u64) -> Result<(), FetchError> {
        if bytes <= self.max_bytes {
            return Ok(());
        }
        let why = format!(
            "the file has more than {} bytes; raise ArchiveBuilder::max_bytes if it is to be kept",
            self.max_bytes
        );
        Err(FetchError::new(FetchErrorKind::NotAllowed, why))
    }

    async fn unless_cut<T>(&self, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(Trouble::Cut),
            result = work => Ok(result?),
        }
    }
}
