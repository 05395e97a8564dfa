//! Looking at meetings without knowing where they are kept.

use async_trait::async_trait;

use super::attendance::Attendance;
use super::mark::Mark;
use super::note::{Note, Rating, Reacted};
use super::page::{TimePage, TimePageRequest};
use super::said::{PollResult, poll_results, ratings, reaction_counts};
use super::sitting::Sitting;
use super::stay::Stay;
use super::talk::{TalkTime, talk_times};
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
    /// How long each connection spoke, longest first.
    pub talk: Vec<TalkTime>,
    /// The polls, the earliest first.
    pub polls: Vec<PollResult>,
    /// How often each user reacted in each way, most first; guests are together.
    pub reactions: Vec<Reacted>,
    /// The newest ratings and comments, newest first; a reader may leave out older ones.
    pub ratings: Vec<Rating>,
}

impl MeetingView {
    /// A view of its parts, in which nobody has spoken, reacted or rated.
    pub fn new(sitting: Sitting, stays: Vec<Stay>, attendance: Attendance, marks: Vec<Mark>) -> Self {
        let (talk, polls, reactions, ratings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { sitting, stays, attendance, marks, talk, polls, reactions, ratings }
    }

    /// Adds what these notes of the session say of talk time, polls, reactions and ratings.
    #[must_use]
    pub fn with_notes(mut self, notes: &[Note]) -> Self {
        self.talk = talk_times(notes, &self.stays);
        self.polls = poll_results(notes);
        self.reactions = reaction_counts(notes);
        self.ratings = ratings(notes);
        self.ratings.reverse();
        self
    }
}

const _: () = {
    const fn is_object_safe(_: Option<&dyn MeetingReader>) {}
    is_object_safe(None);
};
