//! The tables of meetings, read through a store.
//!
//! `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use diesel::QueryResult;
use jaas_core::meetings::{MeetingReader, MeetingView, Sitting, TimePage, TimePageRequest};
use jaas_core::store::StoreError;
use jaas_core::{Fqn, SessionId};

use super::super::{Connection, Store};
use crate::meetings::Meetings;
use crate::meetings::view::{SessionRows, newest_sittings};

/// Queries on a connection, which can be tried again.
type Work<T> = Box<
    dyn for<'c> Fn(&'c mut Connection) -> Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'c>>
        + Send
        + Sync,
>;

/// The tables of meetings, as a [`MeetingReader`]. It reads on connections of the store, within the store's timeout.
///
/// Get it from the store: `store.meeting_tables(&meetings)`. Cloning is cheap.
#[derive(Clone)]
pub struct MeetingTables {
    store: Store,
    meetings: Meetings,
}

impl Store {
    /// The tables of meetings, for pages that show them.
    pub fn meeting_tables(&self, meetings: &Meetings) -> MeetingTables {
        MeetingTables { store: self.clone(), meetings: meetings.clone() }
    }
}

#[async_trait]
impl MeetingReader for MeetingTables {
    async fn sittings(
        &self,
        room: Option<&Fqn>,
        page: &TimePageRequest,
    ) -> Result<TimePage<Sitting>, StoreError> {
        let (room, page) = (room.cloned(), page.clone());
        let list: Work<TimePage<Sitting>> = Box::new(move |connection| {
            let (room, page) = (room.clone(), page.clone());
            Box::pin(async move { newest_sittings(connection, room.as_ref(), &page).await })
        });
        self.store.shared.on_connection("list meetings", list).await
    }

    async fn meeting(&self, session: &SessionId) -> Result<Option<MeetingView>, StoreError> {
        let wanted = session.clone();
        let read: Work<SessionRows> = Box::new(move |connection| {
            let session = wanted.clone();
            Box::pin(async move { SessionRows::load(connection, &session).await })
        });
        let rows = self.store.shared.on_connection("read a meeting", read).await?;
        Ok(rows.view(session, self.meetings.now()))
    }
}

impl fmt::Debug for MeetingTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeetingTables").field("meetings", &self.meetings).finish_non_exhaustive()
    }
}
