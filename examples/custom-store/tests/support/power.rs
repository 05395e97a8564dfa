//! A disk that remembers the order of its writes and syncs, to test what a power cut leaves.

use std::io;
use std::sync::{Arc, Mutex};

use redb::{Database, StorageBackend};

#[derive(Debug, Clone)]
enum Done {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

impl Done {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => file[*at as usize..][..bytes.len()].copy_from_slice(bytes),
            Self::Length(length) => file.resize(*length as usize, 0),
            Self::Sync => {}
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<(Vec<u8>, Vec<Done>)>>);

impl Recorder {
    pub fn database(&self) -> Database {
        Database::builder().create_with_backend(self.clone()).unwrap()
    }

    /// Returns the number of writes so far.
    pub fn written(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }

    /// Returns what is left of so many writes: all before the last sync, and of the later ones, which the disk may do in any
    /// order, those that the bits of `luck` select. The length is the one last set.
    pub fn after_a_power_cut(&self, cut: usize, luck: u64) -> Self {
        let (_, done) = &*self.0.lock().unwrap();
        let done = &done[..cut];
        let synced = done.iter().rposition(|done| matches!(done, Done::Sync)).unwrap_or(0);
        let mut file = Vec::new();
        for (number, each) in done.iter().enumerate() {
            if number < synced || matches!(each, Done::Length(_)) || luck >> (number % 64) & 1 == 1 {
                each.apply(&mut file);
            }
        }
        Self(Arc::new(Mutex::new((file, Vec::new()))))
    }

    fn record(&self, done: Done) -> io::Result<()> {
        let (file, all) = &mut *self.0.lock().unwrap();
        done.apply(file);
        all.push(done);
        Ok(())
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self.0.lock().unwrap().0[offset as usize..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Done::Length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.record(Done::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.record(Done::Write(offset, data.to_vec()))
    }
}
