//! Statistics of a meeting and of a participant's connection.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::id::{Jid, ParticipantId, UserId};
use crate::lenient::{self, Decode, DecodeError, Undecoded, Write, payload};
use crate::private::{Link, Personal};

/// How long each participant spoke.
///
/// - It is sent when the main room closes. Breakout rooms are left out, and a meeting without speakers does not have
///   this event (seen in the sender's modules).
/// - The keys are addresses *with* their resource (documented), `participantFullJid` elsewhere: a participant who came
///   back has one entry per presence. Add them up by [`id`](SpeakerStat::id).
///
/// <https://developer.8x8.com/jaas/docs/webhooks-payload>
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeakerStats(pub BTreeMap<Jid, SpeakerStat>);

lenient::payload!(@has_a_row event SpeakerStats);
lenient::fields_table!(SpeakerStats: "An object of addresses, the value of each a" SpeakerStat);

impl Decode for SpeakerStats {
    fn parse_data(data: &str, undecoded: &mut Undecoded) -> Result<Self, DecodeError> {
        lenient::map(data, undecoded).map(Self)
    }
}

impl Write for SpeakerStats {
    fn write(&self) -> Option<Value> {
        let entries = self.0.iter().filter_map(|(jid, stat)| Some((jid.as_str().to_owned(), stat.write()?)));
        Some(entries.collect())
    }
}

payload! {
    /// One participant in [`SpeakerStats`].
    ///
    /// A participant without a JWT user has a time and nothing else (seen in the sender's modules).
    pub struct SpeakerStat {
        /// The full name.
        name: Option<Personal> = "name",
        /// The link to the user's picture; documented, but neither in the documented example nor in the
        /// sender's modules.
        avatar: Option<Personal> = "avatar",
        /// The user id of the JWT.
        id: Option<UserId> = "id",
        /// The e-mail address of the JWT; absent from the documented list but in its example.
        email: Option<Personal> = "email",
        /// The time in **ms** for which this was the dominant speaker; `0` for a participant who never was. As a
        /// [`Duration`]: the method of the same name.
        time: Option<i64> = "time",
    }

    /// The connection statistics of a participant who left can be downloaded.
    ///
    /// - It is sent for each participant who leaves, not once per meeting (documented).
    /// - `participantId` is the **user id of the JWT** here (documented), hence [`user_id`](Self::user_id); the
    ///   endpoint id has its own field, [`endpoint_id`](Self::endpoint_id).
    /// - The link expires after **48** hours (documented). The file is gzip; inside, each line is one JSON array, and
    ///   `getstats` entries hold only what changed since the previous entry (documented).
    /// - `fqn` is spelled as in the meeting's URL (seen in the sender's modules), so join on the session.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RtcstatsUploaded {
        /// Where the file is, for 48 hours (documented).
        stats_url: Option<Link> = "statsUrl",
        /// The user id of the JWT, called `participantId` on the wire; can be absent.
        user_id: Option<UserId> = "participantId",
        /// The name of the JWT (documented).
        participant_name: Option<Personal> = "participantName",
        /// The endpoint id, `participantId` in other events.
        endpoint_id: Option<ParticipantId> = "endpointId",
    }
}

impl SpeakerStat {
    /// How long this was the dominant speaker; `None` when the time is absent or negative.
    pub fn time(&self) -> Option<Duration> {
        self.time.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload;

    #[test]
    fn speakers_are_found_by_their_full_address() {
        let stats = SpeakerStats::decode(
            r#"{"u@8x8.vc/66wbG6MC":{"time":10089,"id":"google-oauth2|1","name":"Ada"},
                "g@8x8.vc/N6GjCJU9":{"time":11277},"x@8x8.vc/odd":7}"#,
        )
        .expect("an object");
        assert_eq!(stats.0.len(), 2);
        let guest = &stats.0[&Jid::new("g@8x8.vc/N6GjCJU9")];
        assert_eq!(guest.time(), Some(Duration::from_millis(11_277)));
        assert_eq!((&guest.id, &guest.name), (&None, &None));
    }

    #[test]
    fn no_speakers_may_come_as_an_object_or_a_list() {
        for empty in ["{}", "[]", "null"] {
            assert_eq!(SpeakerStats::decode(empty), Ok(SpeakerStats::default()), "{empty}");
        }
        assert!(SpeakerStats::decode(r#"[{"time":1}]"#).is_err());
    }

    #[test]
    fn a_negative_time_is_absent() {
        let stats = SpeakerStats::decode(r#"{"u@8x8.vc/a":{"time":-1},"u@8x8.vc/b":{}}"#).expect("an object");
        assert!(stats.0.values().all(|stat| stat.time().is_none()));
    }

    #[test]
    fn rtcstats_keep_the_user_and_the_endpoint_apart() {
        let stats =
            RtcstatsUploaded::decode(r#"{"participantId":"1140","endpointId":"231ffc"}"#).expect("an object");
        assert_eq!(stats.user_id, Some(UserId::new("1140")));
        assert_eq!(stats.endpoint_id, Some(ParticipantId::new("231ffc")));
    }
}
