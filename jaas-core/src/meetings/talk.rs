//! Who spoke for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use super::note::{Note, Said};
use super::stay::Stay;
use crate::id::{Jid, SessionId, UserId};
use crate::private::Personal;

/// How long one connection spoke in a sitting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TalkTime {
    /// The sitting.
    pub session: SessionId,
    /// The full address of the connection.
    pub jid: Jid,
    /// The presence of the stay with this address; `None` when no such stay is known.
    pub presence: Option<String>,
    /// The user id of the JWT.
    pub user_id: Option<UserId>,
    /// The name of the stay.
    pub name: Option<Personal>,
    /// How long this was the dominant speaker; breakout rooms are left out by the sender.
    pub talked: Duration,
}

/// How long each connection spoke, longest first: of these notes, with the presence and the name of the stay with its
/// address. What several `SPEAKER_STATS` say of one connection is not added up: the longest time counts.
pub fn talk_times<'a>(notes: impl IntoIterator<Item = &'a Note>, stays: &[Stay]) -> Vec<TalkTime> {
    let mut times: BTreeMap<(&SessionId, &Jid), (Duration, Option<&UserId>)> = BTreeMap::new();
    for note in notes {
        let Said::Talk(talk) = &note.said else { continue };
        for one in talk {
            let known = times.entry((&note.session, &one.jid)).or_default();
            *known = (*known).max((one.talked, one.user_id.as_ref()));
        }
    }
    let mut times: Vec<TalkTime> = times
        .into_iter()
        .map(|((session, jid), (talked, user))| {
            // Stays may know the bare address only.
            let exact = |stay: &&Stay| stay.session == *session && stay.who.jid.as_ref() == Some(jid);
            let bare = |stay: &&Stay| {
                stay.session == *session
                    && stay.who.jid.as_ref().is_some_and(|own| own.as_str() == jid.bare())
            };
            let own: Vec<&Stay> = stays.iter().filter(|stay| exact(stay) || bare(stay)).collect();
            let stay = own.iter().find(|stay| exact(stay)).or(own.first());
            TalkTime {
                session: session.clone(),
                jid: jid.clone(),
                presence: stay.map(|stay| stay.who.presence.clone()),
                user_id: user.cloned().or_else(|| stay.and_then(|stay| stay.who.user_id.clone())),
                name: own.iter().find_map(|stay| stay.who.name.clone()),
                talked,
            }
        })
        .collect();
    times.sort_by(|one, other| {
        (other.talked, &one.session, &one.jid).cmp(&(one.talked, &other.session, &other.jid))
    });
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::meetings::{Place, Via, Who};
    use crate::timestamp::Timestamp;

    fn note(key: &str, data: &str) -> Note {
        let body = format!(
            r#"{{"idempotencyKey":"{key}","eventType":"SPEAKER_STATS","sessionId":"s","timestamp":9000,"data":{data}}}"#
        );
        let delivery = Delivery::parse("main", Timestamp::from_secs(9), body.into()).expect("an envelope");
        Note::of(&delivery).expect("a note")
    }

    #[test]
    fn who_spoke_is_found_among_the_stays() {
        let stats =
            r#"{"a@8x8.vc/1":{"time":500,"id":"ada"},"b@8x8.vc/2":{"time":900},"c@8x8.vc/3":{"time":-1}}"#;
        let notes = [note("1", stats), note("2", r#"{"a@8x8.vc/1":{"time":400}}"#)];
        let mut who = Who::new("p2", Via::Participant);
        (who.jid, who.name) = (Some(Jid::new("b@8x8.vc/2")), Some(Personal::new("Ben")));
        let stay = Stay::new(SessionId::new("s"), who, Place::Main, Timestamp::from_secs(1));
        let times = talk_times(&notes, &[stay]);
        let shown: Vec<_> = times
            .iter()
            .map(|one| (one.jid.as_str(), one.presence.as_deref(), one.talked.as_millis()))
            .collect();
        assert_eq!(shown, [("b@8x8.vc/2", Some("p2"), 900), ("a@8x8.vc/1", None, 500)]);
        assert_eq!(times[1].user_id, Some(UserId::new("ada")));
        assert_eq!(times[0].name.as_ref().map(Personal::expose), Some("Ben"));
    }
}
