//! A sink in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jaas_core::archive::{ObjectName, Sink, SinkError, Upload};

/// A [`Sink`] in memory, which shows what was kept and fails on request. Clones share what they keep.
///
/// ```
/// use jaas_core::archive::{ObjectName, Sink as _};
/// use jaas_testkit::archive::FakeSink;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sink = FakeSink::new();
/// let mut upload = sink.begin(&ObjectName::new("a/b")?).await?;
/// upload.write("half".into()).await?;
/// assert!(sink.object("a/b").is_none(), "not visible before it is whole");
/// upload.commit().await?;
/// assert_eq!(sink.object("a/b").unwrap(), "half");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct FakeSink {
    shared: Arc<Mutex<Shared>>,
}

/// How a step of a [`FakeSink`] fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FakeSinkFault {
    /// An object cannot be begun.
    Begin,
    /// Bytes cannot be written: the disk is full.
    Write,
    /// An object cannot be made visible.
    Commit,
    /// An object cannot be deleted.
    Delete,
}

#[derive(Debug, Default)]
struct Shared {
    objects: BTreeMap<String, Bytes>,
    faults: VecDeque<FakeSinkFault>,
    commits: usize,
    aborts: usize,
    deleted: Vec<String>,
}

impl FakeSink {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next step of this kind fail, once; several are queued, and one waits until it is its turn.
    pub fn fail(&self, fault: FakeSinkFault) {
        self.lock().faults.push_back(fault);
    }

    /// The bytes of an object.
    pub fn object(&self, name: &str) -> Option<Bytes> {
        self.lock().objects.get(name).cloned()
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// How often an object was made visible.
    pub fn commits(&self) -> usize {
        self.lock().commits
    }

    /// How often an upload was aborted.
    pub fn aborts(&self) -> usize {
        self.lock().aborts
    }

    /// The names that were deleted.
    pub fn deleted(&self) -> Vec<String> {
        self.lock().deleted.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may(&self, step: FakeSinkFault) -> Result<(), SinkError> {
        let mut shared = self.lock();
        if shared.faults.front() != Some(&step) {
            return Ok(());
        }
        shared.faults.pop_front();
        Err(SinkError::new(format!("{step:?} fails on request")))
    }
}

#[async_trait]
impl Sink for FakeSink {
    async fn begin(&self, name: &ObjectName) -> Result<Box<dyn Upload>, SinkError> {
        self.may(FakeSinkFault::Begin)?;
        Ok(Box::new(FakeUpload { sink: self.clone(), name: name.as_str().to_owned(), written: Vec::new() }))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), SinkError> {
        self.may(FakeSinkFault::Delete)?;
        let mut shared = self.lock();
        shared.objects.remove(name.as_str());
        shared.deleted.push(name.as_str().to_owned());
        Ok(())
    }
}

struct FakeUpload {
    sink: FakeSink,
    name: String,
    written: Vec<u8>,
}

#[async_trait]
impl Upload for FakeUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.sink.may(FakeSinkFault::Write)?;
        self.written.extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), SinkError> {
        self.sink.may(FakeSinkFault::Commit)?;
        let mut shared = self.sink.lock();
        shared.commits += 1;
        shared.objects.insert(self.name.clone(), std::mem::take(&mut self.written).into());
        Ok(())
    }

    async fn abort(&mut self) {
        self.sink.lock().aborts += 1;
    }
}
