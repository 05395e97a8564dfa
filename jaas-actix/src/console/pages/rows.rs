//! Events as a table.

use jaas_core::store::{Page, StoredEvent};

use crate::console::params::href;
use crate::console::show::{At, cut};
use crate::console::visit::Visit;

/// One line of a table of events. Nothing in it comes from `data`.
#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    pub(crate) state: &'static str,
    pub(crate) event_type: String,
    pub(crate) room: String,
    pub(crate) room_href: String,
    pub(crate) session: String,
    pub(crate) session_href: String,
    pub(crate) received: At,
    pub(crate) attempts: u64,
    pub(crate) note: String,
}

impl EventRow {
    pub(crate) fn new(visit: &Visit, event: &StoredEvent) -> Self {
        let attempts = [event.failures, event.crashes, event.interruptions].map(u64::from).iter().sum();
        let session = event.session_id.as_ref().map_or("", |session| session.as_str());
        Self {
            id: event.id.get(),
            state: event.state.as_str(),
            event_type: cut(&event.event_type, 48),
            room: cut(event.fqn.room(), 40),
            room_href: href("inbox", [("room", event.fqn.as_str())]),
            session: cut(session, 14),
            session_href: href("session", [("id", session)]),
            received: visit.at(event.received_at),
            attempts,
            note: cut(event.note.as_deref().unwrap_or_default(), 90),
        }
    }

    pub(crate) fn all(visit: &Visit, events: &[StoredEvent]) -> Vec<Self> {
        events.iter().map(|event| Self::new(visit, event)).collect()
    }
}

/// The links from one page of a list to others.
#[derive(Debug)]
pub(crate) struct Pager {
    /// To the first page, from any other.
    pub(crate) first: Option<String>,
    /// To the next one.
    pub(crate) next: Option<String>,
}

impl Pager {
    pub(crate) fn new<T>(visit: &Visit, page: &Page<T>) -> Self {
        Self::of(visit, page.next.map(|next| next.to_string()))
    }

    /// The pager of a list whose next page starts after this.
    pub(crate) fn of(visit: &Visit, next: Option<String>) -> Self {
        let link = |after: &str| visit.query.href_with(visit.page, "after", after);
        Self { first: visit.query.get("after").map(|_| link("")), next: next.map(|next| link(&next)) }
    }
}
