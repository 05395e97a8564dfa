//! A sink over the stores of `object_store`.

use std::fmt;
use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::time::timeout;

use super::folder::{Folder, FolderUpload};
use super::name::ObjectName;
use super::sink::{Sink, SinkError, Upload};
use crate::config::{ConfigError, ConfigErrorKind};

/// How much is gathered before it is sent, in bytes: the least that S3 takes as a part. It is also what a running
/// download has in memory.
const PART: usize = 5 * 1024 * 1024;

/// The same for a folder: the smaller, the less a database on the same disk waits for a part that is being synced.
const FOLDER_PART: usize = 512 * 1024;

/// A sink over [`object_store`](https://docs.rs/object_store): a folder, or a bucket of S3, Google Cloud Storage or
/// Azure.
///
/// In a folder, a file is written beside its place and then renamed. Files are written one part of 512 KiB at a time, and each
/// part is synced before the next, so that a database on the same disk does not wait behind gigabytes. In a bucket, it is a multipart upload,
/// which is aborted when it fails; let the bucket's lifecycle remove incomplete uploads too, for those that a crash has
/// cut off.
///
/// ```
/// use jaas_core::archive::ObjectSink;
///
/// # let folder = std::env::temp_dir().join("jaas-archive-example");
/// let sink = ObjectSink::folder(&folder)?;
/// # let _ = sink;
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
///
/// Any other store goes through [`new`](ObjectSink::new), in an `Arc` or not. For a bucket, enable the feature `aws`,
/// `gcp` or `azure` of `object_store` in the application:
///
/// ```
/// use jaas_core::archive::ObjectSink;
/// use jaas_core::archive::object_store::{ObjectStore, memory::InMemory};
/// use std::sync::Arc;
///
/// let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
/// let sink = ObjectSink::new(store);
/// # let _ = sink;
/// ```
#[derive(Clone)]
pub struct ObjectSink {
    store: Arc<dyn ObjectStore>,
    folder: Option<Folder>,
    prefix: Option<ObjectName>,
    timeout: Duration,
}

impl ObjectSink {
    /// A sink in this store, which must be of the version that [`object_store`](super::object_store) names. `Arc<dyn
    /// ObjectStore>` is a store too.
    pub fn new(store: impl ObjectStore) -> Self {
        Self { store: Arc::new(store), folder: None, prefix: None, timeout: Duration::from_secs(60) }
    }

    /// A sink in this folder, which is created if needed. What is kept survives a crash of the machine.
    ///
    /// # Errors
    /// When the folder cannot be created or is not one.
    pub fn folder(folder: impl AsRef<FilePath>) -> Result<Self, ConfigError> {
        let folder = folder.as_ref();
        let failed = |why: String| {
            ConfigError::new(
                ConfigErrorKind::Missing,
                format!("cannot keep files in {}: {why}", folder.display()),
            )
        };
        let place = Folder::create(folder).map_err(|error| failed(error.to_string()))?;
        let store =
            LocalFileSystem::new_with_prefix(place.path()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { folder: Some(place), ..Self::new(store) })
    }

    /// Puts this in front of every name, with a slash. Defaults to nothing.
    #[must_use]
    pub fn prefix(mut self, prefix: ObjectName) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// How long one step may take: beginning, sending a part, finishing. Defaults to 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn path(&self, name: &ObjectName) -> Path {
        match &self.prefix {
            Some(prefix) => Path::from(format!("{prefix}/{name}")),
            None => Path::from(name.as_str()),
        }
    }
}

#[async_trait]
impl Sink for ObjectSink {
    async fn begin(&self, name: &ObjectName) -> Result<Box<dyn Upload>, SinkError> {
        let path = self.path(name);
        let limit = Limit { timeout: self.timeout, path };
        let (to, part) = match &self.folder {
            Some(folder) => (To::Folder(limit.within(folder.begin(limit.path.as_ref())).await?), FOLDER_PART),
            None => (To::Store(limit.within(self.store.put_multipart(&limit.path)).await?), PART),
        };
        Ok(Box::new(ObjectUpload { to, part, gathered: Vec::new(), bytes: 0, limit }))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), SinkError> {
        let limit = Limit { timeout: self.timeout, path: self.path(name) };
        let deleted = async {
            match self.store.delete(&limit.path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                deleted => deleted,
            }
        };
        limit.within(deleted).await
    }
}

/// Where an upload goes.
enum To {
    Folder(FolderUpload),
    Store(Box<dyn MultipartUpload>),
}

struct ObjectUpload {
    to: To,
    /// The length of each part but the last.
    part: usize,
    gathered: Vec<Bytes>,
    bytes: usize,
    limit: Limit,
}

impl ObjectUpload {
    async fn send(&mut self) -> Result<(), SinkError> {
        let part = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        match &mut self.to {
            To::Folder(file) => self.limit.within(file.write(part)).await,
            To::Store(upload) => self.limit.within(upload.put_part(PutPayload::from_iter(part))).await,
        }
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), SinkError> {
        // All parts but the last have the same length, which some stores ask for.
        while self.bytes + bytes.len() >= self.part {
            self.gathered.push(bytes.split_to(self.part - self.bytes));
            self.send().await?;
        }
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.gathered.push(bytes);
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), SinkError> {
        if self.bytes > 0 {
            self.send().await?;
        }
        match &mut self.to {
            To::Folder(file) => self.limit.within(file.commit()).await,
            To::Store(upload) => self.limit.within(upload.complete()).await.map(drop),
        }
    }

    async fn abort(&mut self) {
        let _ = match &mut self.to {
            To::Folder(file) => self.limit.within(file.abort()).await,
            To::Store(upload) => self.limit.within(upload.abort()).await,
        };
    }
}

/// How long a step on an object may take, and the object's path, which is not in errors: it has the name of a room in
/// it.
struct Limit {
    timeout: Duration,
    path: Path,
}

impl Limit {
    async fn within<T, E: std::error::Error + 'static>(
        &self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, SinkError> {
        match timeout(self.timeout, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let text = with_causes(&error).replace(self.path.as_ref(), "the object");
                Err(SinkError::new(text))
            }
            Err(_) => Err(SinkError::new(format!("a step took longer than {:?}", self.timeout))),
        }
    }
}

/// The error with its causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Debug for ObjectSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSink").field("store", &self.store.to_string()).finish_non_exhaustive()
    }
}
