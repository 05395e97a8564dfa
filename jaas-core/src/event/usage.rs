//! What counts towards the bill.

use serde_json::Value;

use super::telephony::CallDirection;
use crate::id::{CustomerId, ParticipantId, Room, UserId};
use crate::lenient::{self, Decode, DecodeError, Undecoded, Write, payload};
use crate::private::Personal;

/// Devices joined that count as monthly active users.
///
/// - Nothing is sent for a lone first participant; the second join brings both, each later one itself
///   (documented). If the first stays alone, there is no event.
/// - A participant who comes back brings the same device again (seen in the sender's modules): monthly active users are
///   the *distinct* [`device_id`](UsageEntry::device_id)s of the month, never the entries.
///   device makes a lone participant count (seen in the sender's modules).
///
/// <https://developer.8x8.com/jaas/docs/webhooks-payload>
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage(pub Vec<UsageEntry>);

lenient::payload!(@has_a_row event Usage);
lenient::fields_table!(Usage: "A list, each element a" UsageEntry);

impl Decode for Usage {
    fn parse_data(data: &str, undecoded: &mut Undecoded) -> Result<Self, DecodeError> {
        lenient::data_list(data, undecoded).map(Self)
    }
}

impl Write for Usage {
    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

payload! {
    /// One device in a [`Usage`].
    pub struct UsageEntry {
        /// The tenant's customer id.
        customer_id: Option<CustomerId> = "customerId",
        /// The device: a random id that lives in the browser's local storage, or a phone number
        /// (documented).
        device_id: Option<Personal> = "deviceId",
        /// The e-mail address of the JWT; phones do not have one.
        email: Option<Personal> = "email",
        /// Which of your public keys signed the JWT, `<AppID>/<key id>`; for phones `<AppID>/dialIO` (seen in the
        /// sender's modules).
        kid: Option<String> = "kid",
        /// The user id of the JWT; phones do not have one.
        user_id: Option<UserId> = "userId",
        /// Which side called; only phones have it (documented).
        call_direction: Option<CallDirection> = "callDirection",
        /// The endpoint id (asserted by jitsi-meet's tests); visitors do not have one.
        participant_id: Option<ParticipantId> = "participantId",
        /// The `mauP` claim of the JWT, which decides for some customers whether the join is billed (seen in
        /// the sender's modules).
        has_mau_p: Option<bool> = "hasMauP",
        /// Whether the participant is a visitor, who only watches (seen in the sender's modules).
        visitor: Option<bool> = "visitor",
        ..flatten {
            /// The room that was entered (seen in the sender's modules, which do not count joins of breakout
            /// rooms).
            room: Room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload;

    #[test]
    fn the_second_join_brings_two_devices_one_of_them_a_phone() {
        let usage = Usage::decode(
            r#"[{"deviceId":"349304d3","kid":"vpaas-magic-cookie-1/5b3c5a","email":null,"hasMauP":true,
                 "isBreakout":false,"participantId":"p1"},
                {"deviceId":"40364630871 (+40364630871)","callDirection":"in","participantId":"p2"}]"#,
        )
        .expect("a list");
        let [browser, phone] = usage.0.as_slice() else { panic!("two entries, not {usage:?}") };
        assert_eq!((&browser.email, browser.has_mau_p, &browser.room), (&None, Some(true), &Room::Main));
        assert_eq!(phone.call_direction, Some(CallDirection::In));
        assert!(!format!("{usage:?}").contains("40364630871"));
    }

    #[test]
    fn an_empty_list_may_come_as_an_object_and_a_filled_object_is_refused() {
        for empty in ["[]", "{}", "null"] {
            assert_eq!(Usage::decode(empty), Ok(Usage::default()), "{empty}");
        }
        assert!(Usage::decode(r#"{"deviceId":"349304d3"}"#).is_err());
    }
}
