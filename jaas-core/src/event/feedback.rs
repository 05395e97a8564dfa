//! What participants thought of the meeting.

use crate::id::UserId;
use crate::lenient::payload;
use crate::private::Personal;

payload! {
    /// A participant rated the meeting or commented on it.
    ///
    /// - It can follow `ROOM_DESTROYED`: the question is put to people as they leave.
    /// - The participant's client fills in these fields (seen in jitsi-meet's client): take them as that person's
    ///   statement.
    /// - `fqn` is spelled as in the meeting's URL (seen in the sender's modules), so join on the session.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event Feedback {
        /// 1 to 5, `-1` for no rating (documented), or absent; see [`stars`](Self::stars).
        rating: Option<i64> = "rating",
        /// What the person wrote.
        comments: Option<Personal> = "comments",
        /// The user id of the JWT; guests do not have one.
        user_id: Option<UserId> = "userId",
    }
}

impl Feedback {
    /// The rating from 1 to 5, or `None` when the person did not rate. Compute averages over this, not over `rating`,
    /// where `-1` would count.
    pub fn stars(&self) -> Option<u8> {
        self.rating.and_then(|rating| u8::try_from(rating).ok()).filter(|stars| (1..=5).contains(stars))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;

    #[test]
    fn only_one_to_five_are_stars() {
        for (data, stars) in [
            (r#"{"rating":1}"#, Some(1)),
            (r#"{"rating":"5"}"#, Some(5)),
            (r#"{"rating":-1}"#, None),
            (r#"{"rating":0}"#, None),
            (r#"{"rating":6}"#, None),
            (r#"{"rating":257}"#, None),
            (r#"{"rating":null}"#, None),
            (r#"{"comments":"fine"}"#, None),
        ] {
            assert_eq!(Feedback::decode(data).expect("an object").stars(), stars, "{data}");
        }
    }
}
