//! An [`EventStore`](jaas_core::store::EventStore) without a database: a journal in one file, and everything in it in
//! memory. The README says what it is for and what not.

mod journal;
mod keeper;
mod lists;
mod record;
mod rows;
mod store;
mod transaction;
mod upkeep;
mod work;

pub use self::store::JournalStore;
pub use self::transaction::Transaction;
