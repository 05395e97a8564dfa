//! Recordings, and the files cut from them.

use std::time::Duration;

use crate::id::{Jid, RecordingSessionId, UserId};
use crate::lenient::payload;
use crate::private::{Link, Personal};
use crate::timestamp::Timestamp;

payload! {
    /// A recording began.
    ///
    /// - It carries the room and nothing else (documented). It has no recording session id, so only the session and the
    ///   time connect it with its `RECORDING_UPLOADED`. A session can have several recordings.
    /// - The documented example has `appId` twice with different values; the tenant in `fqn` decides.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RecordingStarted {
        /// The address of the room.
        conference: Option<Jid> = "conference",
    }

    /// A recording stopped.
    ///
    /// - The file is not ready yet: wait for `RECORDING_UPLOADED`.
    /// - It carries the room and nothing else (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RecordingEnded {
        /// The address of the room.
        conference: Option<Jid> = "conference",
    }

    /// A recording can be downloaded.
    ///
    /// - Several per session are normal, and it can arrive while the meeting goes on (asserted by jitsi-meet's tests),
    ///   although the documentation speaks of the meeting's end. The key of a recording is
    ///   [`recording_session_id`](Self::recording_session_id), not the session.
    /// - The link expires after 24 hours, and the file is deleted permanently (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RecordingUploaded {
        /// Who was in the meeting when the recording was uploaded (documented).
        participants: Vec<RecordingParticipant> = "participants",
        /// Where the file is, for 24 hours (documented).
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// When the link expires, in ms (seen in several receivers, not documented).
        link_expiration: Option<Timestamp> = "linkExpiration",
        /// Whether the recording is shared; can be absent (seen in several receivers).
        share: Option<bool> = "share",
        /// The user id, in the JWT, of the participant who started the recording (asserted by jitsi-meet's tests); can
        /// be absent (seen in several receivers).
        initiator_id: Option<UserId> = "initiatorId",
        /// The length in **seconds**; see [`duration`](Self::duration).
        duration_sec: Option<i64> = "durationSec",
        /// When the recording began, in ms; can be absent (seen in several receivers).
        start_timestamp: Option<Timestamp> = "startTimestamp",
        /// When the recording ended, in ms.
        end_timestamp: Option<Timestamp> = "endTimestamp",
        /// The recording's id, opaque.
        recording_session_id: Option<RecordingSessionId> = "recordingSessionId",
    }

    /// A participant in [`RecordingUploaded::participants`].
    pub struct RecordingParticipant {
        /// The full name.
        name: Option<Personal> = "name",
        /// The link to the user's picture.
        avatar: Option<Personal> = "avatar",
        /// The user id of the JWT (asserted by jitsi-meet's tests); guests do not have one.
        id: Option<UserId> = "id",
    }

    /// A sample of a recording, 90 seconds long, can be downloaded.
    ///
    /// - Each ten minutes of a recording yield one sample from a random point (documented), so a recording has several;
    ///   8x8 announces that this selection will change.
    /// - It follows the `RECORDING_UPLOADED` with the same recording session id (documented). The two may arrive in
    ///   another order.
    /// - The link expires after 24 hours (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event VideoSegmentUploaded {
        /// Where the file is, for 24 hours (documented).
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// When the link expires, in ms; listed in the documentation but absent from its example.
        link_expiration: Option<Timestamp> = "linkExpiration",
        /// When the sample begins, in ms; absent from the documented list but in its example.
        start_timestamp: Option<Timestamp> = "startTimestamp",
        /// When the sample ends, in ms; absent from the documented list but in its example.
        end_timestamp: Option<Timestamp> = "endTimestamp",
        /// The recording from which it was taken.
        recording_session_id: Option<RecordingSessionId> = "recordingSessionId",
    }

    /// The screenshots of shared screens can be downloaded.
    ///
    /// - It comes after `ROOM_DESTROYED` (documented).
    /// - Screenshots are taken during recordings only, unless the meeting's configuration says `always`
    ///   (documented).
    /// - Both links lead to a list of further links, one per screenshot, which expire even sooner; fetch the pictures
    ///   along with the list (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ScreenSharingHistory {
        /// Where the list is, for 24 hours (documented).
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
        /// Where the list is in pages, for 24 hours (documented); absent from the documented example.
        pre_authenticated_link_v2: Option<Link> = "preAuthenticatedLinkV2",
        /// When `pre_authenticated_link` expires, in ms.
        link_expiration: Option<Timestamp> = "linkExpiration",
    }
}

impl RecordingUploaded {
    /// How long the recording is: `durationSec` if it is plausible, else the time from start to end.
    pub fn duration(&self) -> Option<Duration> {
        let stated = self.duration_sec.and_then(|secs| u64::try_from(secs).ok()).map(Duration::from_secs);
        stated.or_else(|| {
            let (start, end) = self.start_timestamp.zip(self.end_timestamp)?;
            (start <= end).then(|| end.duration_since(start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;

    fn duration(data: &str) -> Option<Duration> {
        RecordingUploaded::decode(data).expect("an object").duration()
    }

    #[test]
    fn the_length_of_a_recording_is_in_seconds() {
        let times = r#""startTimestamp":1612175247396,"endTimestamp":1612175263000"#;
        assert_eq!(duration(&format!(r#"{{"durationSec":15,{times}}}"#)), Some(Duration::from_secs(15)));
        assert_eq!(
            duration(&format!(r#"{{"durationSec":-1,{times}}}"#)),
            Some(Duration::from_millis(15_604))
        );
        assert_eq!(duration(&format!("{{{times}}}")), Some(Duration::from_millis(15_604)));
    }

    #[test]
    fn a_length_that_cannot_be_computed_is_none() {
        assert_eq!(duration("{}"), None);
        assert_eq!(duration(r#"{"endTimestamp":1612175263000}"#), None);
        assert_eq!(duration(r#"{"startTimestamp":2,"endTimestamp":1}"#), None);
    }
}
