//! One meeting and pages of sittings, as they are shown.

use diesel::QueryResult;
use jaas_core::meetings::{
    Attendance, Mark, MeetingView, Note, Sitting, Stay, TimeCursor, TimePage, TimePageRequest,
};
use jaas_core::store::StoreError;
use jaas_core::{Fqn, SessionId, Timestamp};

use super::notes::{
    AnswerRow, FeedbackRow, PollRow, ReactionRow, TalkRow, answer, poll, rating, reacted, talk,
};
use super::rows::{MarkRow, RoomKey, SittingRow, StayRow, indexed};
use super::{Meetings, MeetingsConnection};
use crate::error::unavailable;

/// The rows of one session.
#[derive(Debug, Clone)]
pub(crate) struct SessionRows {
    sitting: Option<SittingRow>,
    stays: Vec<StayRow>,
    marks: Vec<MarkRow>,
    talk: Vec<TalkRow>,
    polls: Vec<PollRow>,
    answers: Vec<AnswerRow>,
    reactions: Vec<ReactionRow>,
    feedback: Vec<FeedbackRow>,
}

/// How many ratings are read.
const RATINGS: i64 = 100;

impl SessionRows {
    pub(crate) async fn load<C: MeetingsConnection>(
        connection: &mut C,
        session: &SessionId,
    ) -> QueryResult<Self> {
        let session = indexed(session.as_str());
        Ok(Self {
            sitting: connection.sitting(&session).await?,
            stays: connection.stays(&session).await?,
            marks: connection.marks(&session).await?,
            talk: connection.talk(&session).await?,
            polls: connection.polls(&session).await?,
            answers: connection.poll_answers(&session).await?,
            reactions: connection.reactions(&session).await?,
            feedback: connection.feedback(Some(&session), None, RATINGS).await?,
        })
    }

    /// What they say; `None` when nothing is known. Who is there, is until `now`.
    pub(crate) fn view(self, session: &SessionId, now: Timestamp) -> Option<MeetingView> {
        let from_stay = || self.stays.first().map(|row| Sitting::new(session.clone(), row.fqn()));
        let sitting = self.sitting.map(Sitting::from).or_else(from_stay)?;
        let mut stays: Vec<Stay> = self.stays.into_iter().map(Stay::from).collect();
        stays.sort_by(Stay::by_time);
        let mut marks: Vec<Mark> = self.marks.into_iter().map(Mark::from).collect();
        marks.sort_by(|one, other| (one.at, one.kind.as_str()).cmp(&(other.at, other.kind.as_str())));
        let attendance = Attendance::of(&sitting, &stays, now);
        let notes: Vec<Note> = self
            .talk
            .into_iter()
            .map(talk)
            .chain(self.polls.into_iter().map(poll))
            .chain(self.answers.into_iter().map(answer))
            .chain(self.reactions.into_iter().map(reacted))
            .collect();
        let mut view = MeetingView::new(sitting, stays, attendance, marks).with_notes(&notes);
        view.ratings = self.feedback.into_iter().map(rating).collect();
        Some(view)
    }
}

/// A page of sittings, newest first.
pub(crate) async fn newest_sittings<C: MeetingsConnection>(
    connection: &mut C,
    room: Option<&Fqn>,
    page: &TimePageRequest,
) -> QueryResult<TimePage<Sitting>> {
    let after = page.after.as_ref().map(|cursor| (cursor.at().as_millis(), indexed(cursor.key())));
    let limit = page.clamped_limit();
    let rows = connection.newest_sittings(room.map(RoomKey::of).as_ref(), after, limit as i64 + 1).await?;
    let cursor = |row: &SittingRow| TimeCursor::new(Timestamp::from_millis(row.first_at), &*row.session_id);
    Ok(TimePage::from_items(rows, limit, cursor).map(Sitting::from))
}

impl Meetings {
    /// Everything that a page shows of a session; `None` when nothing is known of it.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn meeting<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Option<MeetingView>, StoreError> {
        let rows = SessionRows::load(connection, session).await;
        let rows = rows.map_err(|error| unavailable("read a meeting", error))?;
        Ok(rows.view(session, self.clock.now()))
    }
}
