//! What was said, asked and felt in a meeting, and which devices count.

use diesel::QueryResult;
use jaas_core::meetings::{
    Month, MonthlyDevices, Note, Phrase, PollResult, Rating, Reacted, TalkTime, TimeCursor, TimePage,
    TimePageRequest, Transcript, poll_results, reaction_counts, talk_times,
};
use jaas_core::store::StoreError;
use jaas_core::{AppId, SessionId, Timestamp};

use super::notes::{
    FeedbackRow, PhraseRow, answer, month, month_number, phrase, poll, rating, reacted, talk,
};
use super::rows::indexed;
use super::{Meetings, MeetingsConnection};
use crate::error::unavailable;

/// How many phrases are read with one statement.
const PHRASES: u32 = 1000;

impl Meetings {
    /// How long each connection of a session spoke, longest first. `SPEAKER_STATS` says so when the main room closes, so there
    /// is nothing before that.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn talk_time<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Vec<TalkTime>, StoreError> {
        let rows = asked(connection.talk(&indexed(session.as_str())).await)?;
        let notes: Vec<Note> = rows.into_iter().map(talk).collect();
        Ok(talk_times(&notes, &self.stays(connection, session).await?))
    }

    /// The polls of a session, the earliest first, each with the last answer of each voter.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn polls<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Vec<PollResult>, StoreError> {
        let session = indexed(session.as_str());
        let mut notes: Vec<Note> = asked(connection.polls(&session).await)?.into_iter().map(poll).collect();
        notes.extend(asked(connection.poll_answers(&session).await)?.into_iter().map(answer));
        Ok(poll_results(&notes))
    }

    /// How often each user reacted in each way in a session, most first; guests are together.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn reactions<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Vec<Reacted>, StoreError> {
        let rows = asked(connection.reactions(&indexed(session.as_str())).await)?;
        let notes: Vec<Note> = rows.into_iter().map(reacted).collect();
        Ok(reaction_counts(&notes))
    }

    /// A page of the feedback of a session, or of all sessions; newest first.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn feedback<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: Option<&SessionId>,
        page: &TimePageRequest,
    ) -> Result<TimePage<Rating>, StoreError> {
        let session = session.map(|session| indexed(session.as_str()));
        let limit = page.clamped_limit();
        let rows = connection.feedback(session.as_deref(), after(page), limit as i64 + 1).await;
        let cursor = |((_, key, at), _): &FeedbackRow| TimeCursor::new(Timestamp::from_millis(*at), &**key);
        Ok(TimePage::from_items(asked(rows)?, limit, cursor).map(rating))
    }

    /// A page of the phrases of a session, the earliest first, as the events brought them: a phrase that was sent again is there
    /// again, and a missing name is missing. [`transcript`](Self::transcript) has both right. Empty unless
    /// [phrases are kept](super::MeetingsBuilder::phrases).
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn phrases<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
        page: &TimePageRequest,
    ) -> Result<TimePage<Phrase>, StoreError> {
        let limit = page.clamped_limit();
        let rows = connection.phrases(&indexed(session.as_str()), after(page), limit as i64 + 1).await;
        let cursor = |((_, key, at), _): &PhraseRow| TimeCursor::new(Timestamp::from_millis(*at), &**key);
        Ok(TimePage::from_items(asked(rows)?, limit, cursor).map(phrase))
    }

    /// What was said in a session: each phrase once, with names from the stays where the event has none. Its times are counted
    /// from the opening of the room, or else from the first phrase; for captions of a recording set
    /// [`begin`](Transcript::begin) to its beginning. Empty unless [phrases are kept](super::MeetingsBuilder::phrases).
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn transcript<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Transcript, StoreError> {
        let mut page = TimePageRequest { limit: PHRASES, ..TimePageRequest::first() };
        let mut phrases: Vec<Phrase> = Vec::new();
        loop {
            let some = self.phrases(connection, session, &page).await?;
            phrases.extend(some.items);
            match some.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let opened = self.sitting(connection, session).await?.and_then(|sitting| sitting.opened_at);
        let first = phrases.first().map(|phrase| phrase.at);
        let begin = opened.or(first).unwrap_or(Timestamp::from_millis(0));
        Ok(Transcript::of(begin, phrases, &self.stays(connection, session).await?))
    }

    /// How many devices the bill of each month counts, latest month first: of a tenant, before this month, so many months at
    /// most. Empty unless [devices are kept](super::MeetingsBuilder::devices). It reads an index entry for each device that
    /// joined in these months, as often as it joined.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn monthly_devices<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        app: &AppId,
        before: Option<Month>,
        limit: u32,
    ) -> Result<Vec<MonthlyDevices>, StoreError> {
        let tenant = indexed(&app.as_str().to_lowercase());
        let limit = i64::from(limit.clamp(1, 1000));
        let rows = asked(connection.devices_by_month(&tenant, before.map(month_number), limit).await)?;
        let count = |(number, devices): (i32, i64)| {
            let devices = u64::try_from(devices).unwrap_or(0);
            Some(MonthlyDevices::new(AppId::new(&*tenant), month(number)?, devices))
        };
        Ok(rows.into_iter().filter_map(count).collect())
    }
}

fn after(page: &TimePageRequest) -> Option<(i64, String)> {
    page.after.as_ref().map(|cursor| (cursor.at().as_millis(), indexed(cursor.key())))
}

fn asked<T>(result: QueryResult<T>) -> Result<T, StoreError> {
    result.map_err(|error| unavailable("read the tables of meetings", error))
}
