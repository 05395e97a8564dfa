//! What a handler can write.

use std::collections::BTreeMap;

use jaas_core::store::StoreError;

use crate::store::JournalStore;

/// Values of the application's, under keys, which a transactional handler reads and writes. What it writes is in the
/// journal's same line as the event's completion, or nowhere.
///
/// Nothing is locked meanwhile: of two handlers that run at the same time and write the same key, the later one wins. Events
/// of one session run one after the other, so use keys that begin with the session.
#[derive(Debug)]
pub struct Transaction {
    store: JournalStore,
    written: BTreeMap<String, String>,
}

impl Transaction {
    pub(crate) fn new(store: JournalStore) -> Self {
        Self { store, written: BTreeMap::new() }
    }

    /// The value of this key: what this handler wrote, or else what is committed.
    ///
    /// # Errors
    /// When the journal cannot be read in time.
    pub async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        match self.written.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => self.store.value(key).await,
        }
    }

    /// Sets the value of this key.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.written.insert(key.into(), value.into());
    }

    pub(crate) fn into_written(self) -> BTreeMap<String, String> {
        self.written
    }
}
