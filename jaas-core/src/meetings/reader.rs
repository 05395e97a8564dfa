//! Looking at meetings without knowing where they are kept.

use async_trait::async_trait;

use super::attendance::Attendance;
use super::mark::Mark;
use super::page::{TimePage, TimePageRequest};
use super::sitting::Sitting;
use super::stay::Stay;
use crate::id::{Fqn, SessionId};
use crate::store::StoreError;

/// Reads the meetings that are kept, for pages that show them. `jaas-diesel` implements it for its three databases.
///
/// ```
/// use jaas_core::meetings::{MeetingReader, TimePageRequest};
/// use jaas_core::store::StoreError;
///
/// async fn print_all(reader: &dyn MeetingReader) -> Result<(), StoreError> {
///     let mut page = TimePageRequest::first();
///     loop {
///         let sittings = reader.sittings(None, &page).await?;
///         for sitting in sittings.items {
///             println!("{}: {:?} to {:?}", sitting.session, sitting.opened_at, sitting.ended_at);
///         }
///         match sittings.next {
///             Some(next) => page.after = Some(next),
///             None => return Ok(()),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait MeetingReader: Send + Sync + 'static {
    /// A page of the sittings, newest first: of `<AppID>/<room>`, of a `<room>` of any tenant, or of all rooms.
    ///
    /// # Errors
    /// When the meetings cannot be read.
    async fn sittings(
        &self,
        room: Option<&Fqn>,
        page: &TimePageRequest,
    ) -> Result<TimePage<Sitting>, StoreError>;

    /// What is known of a session; `None` when nothing is.
    ///
    /// # Errors
    /// When the meetings cannot be read.
    async fn meeting(&self, session: &SessionId) -> Result<Option<MeetingView>, StoreError>;
}

/// One meeting, as a page shows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MeetingView {
    /// When it began and ended.
    pub sitting: Sitting,
    /// Who was where; first come first, those in the lobby too.
    pub stays: Vec<Stay>,
    /// Who attended; until now while the meeting goes on.
    pub attendance: Attendance,
    /// Its moments, such as recordings; the earliest first.
    pub marks: Vec<Mark>,
}

impl MeetingView {
    /// A view of its parts.
    pub fn new(sitting: Sitting, stays: Vec<Stay>, attendance: Attendance, marks: Vec<Mark>) -> Self {
        Self { sitting, stays, attendance, marks }
    }
}

const _: () = {
    const fn is_object_safe(_: Option<&dyn MeetingReader>) {}
    is_object_safe(None);
};
