//! The store: how a transaction gets its turn and is committed, on a thread where it may wait for the disk, and what a
//! handler can write.

use std::sync::Arc;
use std::time::Duration;

use jaas_core::store::tools::{Access, TableDatabase, TableStore};
use jaas_core::store::{StoreError, StoreErrorKind};
use redb::{Database, ReadTransaction, ReadableDatabase as _, StorageError, WriteTransaction};
use tokio::sync::Semaphore;

use crate::rows::{Fault, Outcome, create};
use crate::tables::Tables;

/// The timeout of a call for its turn and the disk.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps events in tables of a redb database, beside the application's tables. Clones share one queue of turns.
pub type RedbStore = TableStore<Redb>;

/// A redb database, and the turns to read and write in it.
#[derive(Clone)]
pub struct Redb {
    database: Arc<Database>,
    writers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// A transactional handler's writes to the application's tables. They are committed together with the event's
/// completion, or not at all.
///
/// redb has one writer at a time. So that a waiting handler does not block the others, its writes happen after it has run, in
/// the order given. Values that a write depends on must be read in the write, too.
#[derive(Default)]
pub struct Transaction(Vec<Write>);

type Write = Box<dyn FnOnce(&WriteTransaction) -> Outcome<()> + Send>;

impl Transaction {
    /// Adds a write for when the handler has succeeded. An error rolls everything back, and the worker treats it as the handler's
    /// error.
    pub fn write(&mut self, write: impl FnOnce(&WriteTransaction) -> Outcome<()> + Send + 'static) {
        self.0.push(Box::new(write));
    }
}

impl Redb {
    /// Opens a store over this database, and creates its tables if they do not exist.
    ///
    /// # Errors
    /// When the database cannot be written before the timeout.
    pub async fn store(database: Arc<Database>) -> Result<RedbStore, StoreError> {
        let [writers, readers] = [1, 4].map(|threads| Arc::new(Semaphore::new(threads)));
        let redb = Self { database, writers, readers };
        let created = redb.ask(Access::Write, |redb| {
            let tables = redb.begin()?;
            create(&tables.0)?;
            redb.commit(tables)
        });
        created.await?;
        Ok(TableStore::new(redb))
    }
}

impl TableDatabase for Redb {
    type Error = Fault;
    type Reader = Tables<ReadTransaction>;
    type Writer = Tables<WriteTransaction>;
    type Tx = Transaction;

    async fn ask<T: Send + 'static>(
        &self,
        access: Access,
        work: impl FnOnce(&Self) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turns = match access {
            Access::Read => self.readers.clone(),
            Access::Write => self.writers.clone(),
        };
        let redb = self.clone();
        let asked = tokio::time::timeout(TIMEOUT, async {
            // A caller that is gone before its turn has asked for nothing.
            let turn = turns.acquire_owned().await?;
            let working = tokio::task::spawn_blocking(move || (work(&redb), turn).0);
            working.await?
        });
        asked.await.map_err(Fault::from).flatten().map_err(|fault| match fault.downcast::<StoreError>() {
            Ok(error) => *error,
            Err(fault) => {
                let corrupt = fault.is::<serde_json::Error>()
                    || matches!(fault.downcast_ref(), Some(StorageError::Corrupted(_)));
                let kind = if corrupt { StoreErrorKind::Corrupt } else { StoreErrorKind::Unavailable };
                StoreError::new(kind, "the redb database cannot do this").with_source(fault)
            }
        })
    }

    fn read(&self) -> Outcome<Self::Reader> {
        Ok(Tables(self.database.begin_read()?))
    }

    fn begin(&self) -> Outcome<Self::Writer> {
        Ok(Tables(self.database.begin_write()?))
    }

    fn commit(&self, transaction: Self::Writer) -> Outcome<()> {
        Ok(transaction.0.commit()?)
    }

    fn apply(&self, writes: Transaction, transaction: &mut Self::Writer) -> Outcome<()> {
        let refused = |cause| {
            StoreError::new(StoreErrorKind::Refused, "the handler's writes failed").with_source(cause)
        };
        Ok(writes.0.into_iter().try_for_each(|write| write(&transaction.0)).map_err(refused)?)
    }
}
