//! What the tables of meetings can be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::QueryResult;
use jaas_core::meetings::{Attendance, Present, Sitting, Stay, stitch};
use jaas_core::store::StoreError;
use jaas_core::{Fqn, SessionId, Timestamp, UserId};

use super::rows::{RoomKey, StayRow, indexed};
use super::{Meetings, MeetingsConnection};
use crate::error::unavailable;

/// Which sittings of a room.
///
/// ```
/// use jaas_core::{Fqn, Timestamp};
/// use jaas_diesel::meetings::SittingsQuery;
///
/// let room = Fqn::new("vpaas-magic-cookie-1/math");
/// let of_today = SittingsQuery::of(&room).from(Timestamp::from_secs(1_795_420_800)).limit(20);
/// # let _ = of_today;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SittingsQuery {
    room: RoomKey,
    from: Timestamp,
    until: Timestamp,
    after: Option<String>,
    limit: u32,
}

impl SittingsQuery {
    /// All sittings of this room, oldest first: of `<AppID>/<room>`, or of a `<room>` of any tenant.
    pub fn of(room: &Fqn) -> Self {
        let (from, until) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        Self { room: RoomKey::of(room), from, until, after: None, limit: 100 }
    }

    /// That began at this time or later.
    pub fn from(mut self, from: Timestamp) -> Self {
        self.from = from;
        self
    }

    /// That began before this time.
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = until;
        self
    }

    /// Those that follow this one, which is the last of the page before.
    pub fn after(mut self, last: &Sitting) -> Self {
        self.after = Some(indexed(last.session.as_str()));
        self
    }

    /// How many at most, 1 to 1000. Defaults to 100.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

/// How many stays of one user are read at most.
const MOST_STAYS: i64 = 10_000;

impl Meetings {
    /// Who is in the room now, and who waits in its lobby: of `<AppID>/<room>`, or of a `<room>` of any tenant.
    ///
    /// A room has one sitting at a time: once a later one has begun, nobody is in the one before, even if its end was never
    /// told.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn present<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        room: &Fqn,
    ) -> Result<Present, StoreError> {
        let room = RoomKey::of(room);
        let stays = asked(connection.open_stays(&room).await)?;
        if stays.is_empty() {
            return Ok(Present::default());
        }
        let newest = asked(connection.newest_sittings(Some(&room), None, 50).await)?;
        let mut sessions: BTreeMap<String, Vec<StayRow>> = BTreeMap::new();
        for stay in stays {
            sessions.entry(stay.session_id.clone()).or_default().push(stay);
        }
        let mut present = Present::default();
        for (session, stays) in sessions {
            let Some(first) = stays.first() else { continue };
            let own = newest.iter().find(|sitting| sitting.session_id == session);
            let joined = stays.iter().map(|stay| stay.joined_at).min();
            let began = own.map(|sitting| sitting.first_at).or(joined);
            let is_over = newest.iter().any(|sitting| {
                sitting.session_id != session
                    && sitting.tenant == first.tenant
                    && Some(sitting.first_at) > began
            });
            if is_over {
                continue;
            }
            let unknown = || Sitting::new(SessionId::new(&*session), first.fqn());
            let sitting = own.cloned().map_or_else(unknown, Sitting::from);
            let stays: Vec<Stay> = stays.into_iter().map(Stay::from).collect();
            let here = Present::of(&sitting, &stays);
            present.people.extend(here.people);
            present.lobby.extend(here.lobby);
        }
        present.people.sort_by_key(|stay| stay.joined_at);
        present.lobby.sort_by_key(|stay| stay.joined_at);
        Ok(present)
    }

    /// A sitting; `None` while neither the opening nor the closing of its main room was received.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn sitting<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Option<Sitting>, StoreError> {
        Ok(asked(connection.sitting(&indexed(session.as_str())).await)?.map(Sitting::from))
    }

    /// A page of the sittings of a room, oldest first. The next one [follows](SittingsQuery::after) the last of them.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn sittings<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        query: &SittingsQuery,
    ) -> Result<Vec<Sitting>, StoreError> {
        let range = (query.from.as_millis(), query.until.as_millis());
        let limit = i64::from(query.limit.clamp(1, 1000));
        let rows = connection.sittings(&query.room, range, query.after.clone(), limit).await;
        Ok(asked(rows)?.into_iter().map(Sitting::from).collect())
    }

    /// The meetings of such a page, each with its sittings: those with at most this gap between them are one meeting.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn stitched<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        query: &SittingsQuery,
        gap: Duration,
    ) -> Result<Vec<Vec<Sitting>>, StoreError> {
        Ok(stitch(self.sittings(connection, query).await?, gap))
    }

    /// The stays of a session, those in the lobby too; first come first.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn stays<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Vec<Stay>, StoreError> {
        let rows = asked(connection.stays(&indexed(session.as_str())).await)?;
        let mut stays: Vec<Stay> = rows.into_iter().map(Stay::from).collect();
        stays.sort_by(Stay::by_time);
        Ok(stays)
    }

    /// Who attended a session; `None` when nothing is known of it. While it goes on, until now.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn attendance<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<Option<Attendance>, StoreError> {
        let known = asked(connection.sitting(&indexed(session.as_str())).await)?.map(Sitting::from);
        let rows = asked(connection.stays(&indexed(session.as_str())).await)?;
        let unknown = rows.first().map(|row| Sitting::new(session.clone(), row.fqn()));
        let stays: Vec<Stay> = rows.into_iter().map(Stay::from).collect();
        let now = self.clock.now();
        Ok(known.or(unknown).map(|sitting| Attendance::of(&sitting, &stays, now)))
    }

    /// Who attended each sitting of a page of a room's sittings.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn attendance_of_room<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        query: &SittingsQuery,
    ) -> Result<Vec<Attendance>, StoreError> {
        let mut all = Vec::new();
        for sitting in self.sittings(connection, query).await? {
            let stays = self.stays(connection, &sitting.session).await?;
            all.push(Attendance::of(&sitting, &stays, self.clock.now()));
        }
        Ok(all)
    }

    /// What a user attended, of what they joined within this range (`until` is not part of it): the attendance of each sitting
    /// with this person only. At most 10 000 stays are read.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn attendance_of_user<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        user: &UserId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Attendance>, StoreError> {
        let range = (from.as_millis(), until.as_millis());
        let rows = asked(connection.stays_of_user(&indexed(user.as_str()), range, MOST_STAYS).await)?;
        let mut sessions: BTreeMap<String, Vec<StayRow>> = BTreeMap::new();
        for row in rows {
            sessions.entry(row.session_id.clone()).or_default().push(row);
        }
        let ids: Vec<String> = sessions.keys().cloned().collect();
        let mut known: BTreeMap<String, Sitting> = BTreeMap::new();
        for some in ids.chunks(500) {
            let rows = asked(connection.sittings_of(some).await)?;
            known.extend(rows.into_iter().map(|row| (row.session_id.clone(), row.into())));
        }
        let mut all = Vec::new();
        for (session, rows) in sessions {
            let Some(first) = rows.first() else { continue };
            let unknown = || Sitting::new(SessionId::new(&*session), first.fqn());
            let sitting = known.remove(&session).unwrap_or_else(unknown);
            let stays: Vec<Stay> = rows.into_iter().map(Stay::from).collect();
            all.push(Attendance::of(&sitting, &stays, self.clock.now()));
        }
        all.sort_by_key(|attendance| attendance.people.first().map(|person| person.first_joined));
        Ok(all)
    }

    /// Deletes everything that the tables of meetings hold of a session, as
    /// [`erase_session`](jaas_core::store::EventAdmin::erase_session) does.
    ///
    /// # Errors
    /// When the tables cannot be written.
    pub async fn erase<C: MeetingsConnection>(
        &self,
        connection: &mut C,
        session: &SessionId,
    ) -> Result<(), StoreError> {
        connection
            .erase(&indexed(session.as_str()))
            .await
            .map_err(|error| unavailable("erase a meeting", error))
    }
}

fn asked<T>(result: QueryResult<T>) -> Result<T, StoreError> {
    result.map_err(|error| unavailable("read the tables of meetings", error))
}
