//! Bodies as JaaS sends them.

use jaas_core::event::EventKind;

/// A body and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixture {
    /// Its name: the event type, or the name of the case.
    pub name: &'static str,
    /// The body.
    pub body: &'static str,
}

macro_rules! from_the_table {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        /// One body for each event of the table, in its documented shape with plausible values, every documented field
        /// present, and a distinct idempotency key.
        ///
        /// An event without its file in `fixtures/` does not compile.
        pub const EVENTS: &[Fixture] = &[$(Fixture {
            name: $wire,
            body: include_str!(concat!("../fixtures/", $wire, ".json")),
        },)*];

        /// The body of this event; for [`EventKind::Unknown`], a body of a type that no version knows.
        ///
        /// ```
        /// use jaas_core::event::EventKind;
        /// use jaas_testkit::fixture;
        ///
        /// assert!(fixture::of(EventKind::RoomCreated).body.contains("ROOM_CREATED"));
        /// ```
        pub fn of(kind: EventKind) -> Fixture {
            let known = EVENTS.iter().find(|fixture| fixture.name == kind.as_str());
            known.copied().unwrap_or(Fixture {
                name: "unknown-event-type",
                body: include_str!("../cases/unknown-event-type.json"),
            })
        }
    };
}
jaas_core::for_each_event!(from_the_table);

macro_rules! fixtures {
    ($folder:literal $extension:literal: $($name:literal)*) => {
        &[$(Fixture {
            name: $name,
            body: include_str!(concat!("../", $folder, "/", $name, $extension)),
        },)*]
    };
}

macro_rules! unreadable {
    ($($name:literal)*) => { &[$(($name, include_bytes!(concat!("../unreadable/", $name)).as_slice()),)*] };
}

/// The examples of 8x8's page, byte for byte. Six of their keys appear in several of them, so give each a different
/// key, with [`with_key`], before you send them to a server that ignores duplicates.
pub const DOCUMENTED: &[Fixture] = fixtures! { "seed" ".json":
    "AGGREGATED_REACTIONS"
    "CHAT_UPLOADED"
    "DIAL_IN_ENDED"
    "DIAL_IN_STARTED"
    "DIAL_OUT_ENDED"
    "DIAL_OUT_STARTED"
    "FEEDBACK"
    "LIVE_STREAM_ENDED"
    "LIVE_STREAM_STARTED"
    "PARTICIPANT_JOINED"
    "PARTICIPANT_JOINED_LOBBY"
    "PARTICIPANT_LEFT"
    "PARTICIPANT_LEFT_LOBBY"
    "POLL_ANSWER"
    "POLL_CREATED"
    "REACTIONS"
    "RECORDING_ENDED"
    "RECORDING_STARTED"
    "RECORDING_UPLOADED"
    "ROLE_CHANGED"
    "ROOM_CREATED"
    "ROOM_DESTROYED"
    "RTCSTATS_UPLOADED"
    "SCREEN_SHARING_HISTORY"
    "SIP_CALL_IN_ENDED"
    "SIP_CALL_IN_STARTED"
    "SIP_CALL_OUT_ENDED"
    "SIP_CALL_OUT_STARTED"
    "SPEAKER_STATS"
    "TRANSCRIPTION_CHUNK_RECEIVED"
    "TRANSCRIPTION_UPLOADED"
    "USAGE"
    "VIDEO_SEGMENT_UPLOADED"
};

/// Odd bodies with a valid envelope: what is known to vary on the wire, and what must do no harm. `cases/README.md`
/// says what is odd about each, and how it is known.
pub const CASES: &[Fixture] = fixtures! { "cases" ".json":
    "aggregated-reactions-empty-list-as-object"
    "all-data-null-recording"
    "all-data-null"
    "app-id-missing-poll"
    "app-id-missing"
    "async-transcription-chunk"
    "breakout-join"
    "breakout-left-main-room"
    "breakout-room-created"
    "breakout-room-destroyed"
    "certified-rec-uploaded"
    "data-empty-object"
    "data-is-list"
    "data-is-object-with-keys"
    "data-is-string"
    "data-missing"
    "data-null"
    "dial-in-ended-without-reason"
    "dial-out-ended-with-reason"
    "dial-unknown-direction"
    "document-size-as-string"
    "duplicate-app-id-first-agrees"
    "duplicate-app-id"
    "duplicate-keys-in-data"
    "empty-list-as-object"
    "empty-list"
    "empty-object-as-list"
    "empty-strings"
    "envelope-fields-absent"
    "envelope-null-fields"
    "envelope-wrong-types"
    "flip-to-another-device"
    "fqn-emoji"
    "fqn-empty-room"
    "fqn-lower-case-percent-encoded"
    "fqn-not-encoded"
    "fqn-stray-percent"
    "fqn-upper-case-percent-encoded"
    "fqn-very-long"
    "fqn-with-two-slashes"
    "fqn-without-slash"
    "group-absent"
    "group-as-object"
    "guest-without-user-fields"
    "hidden-from-recorder-bool"
    "hidden-from-recorder-string"
    "huge-number-claim"
    "huge-number-in-unknown-claim"
    "key-not-a-uuid-long-tail"
    "key-not-a-uuid"
    "key-order-reversed"
    "kicked-without-id"
    "link-missing"
    "lobby-without-breakout-fields"
    "lone-surrogate-in-unknown-claim"
    "lone-surrogate-name"
    "media-types-as-object"
    "moderator-absent"
    "moderator-after-role-changed"
    "moderator-bool"
    "moderator-null"
    "moderator-string-false"
    "moderator-string"
    "nested-jwt-claims"
    "nul-in-name"
    "nul-in-session-id"
    "numeric-user-id-beyond-u64"
    "numeric-user-id"
    "participant-joined-main-room"
    "participant-left-main-room"
    "poll-answers-as-object"
    "poll-empty-user"
    "poll-user-missing"
    "rating-absent"
    "rating-minus-one"
    "rating-out-of-range"
    "reactions-as-object"
    "reactions-user-id-as-participant-id"
    "recording-participants-as-object"
    "recording-uploaded-mid-meeting"
    "recording-uploaded-minimal"
    "recording-uploaded-with-expiration"
    "rejoin-new-participant-id"
    "role-changed-full"
    "role-changed-granted-to-nobody"
    "role-changed-jid-only"
    "room-created-main-room"
    "room-destroyed-media-types"
    "rtcstats-without-participant-id"
    "screen-sharing-without-v2"
    "sip-ended-with-reason"
    "speaker-stats-large-time"
    "speaker-stats-time-only"
    "subject-update-main-room"
    "timestamp-as-float"
    "timestamp-as-string"
    "transcription-chunk-participant-null"
    "transcription-chunk-short-language"
    "two-tabs-of-one-user"
    "unicode-names"
    "unknown-disconnect-reason"
    "unknown-event-type"
    "unknown-fields"
    "usage-breakout"
    "usage-dial"
    "usage-null-email"
    "usage-odd-items"
    "usage-same-device-again"
    "usage-two-items"
    "usage-visitor"
    "video-segment-without-expiration"
    "visitor-joined"
    "visitor-left-without-reason"
    "wrong-typed-optional-fields"
    "wrong-typed-recording-fields"
};

/// Bodies whose envelope cannot be parsed, by file name: they belong in quarantine.
pub const UNREADABLE: &[(&str, &[u8])] = unreadable! {
    "array.json"
    "empty-idempotency-key.json"
    "empty.txt"
    "event-type-number.json"
    "no-event-type.json"
    "no-idempotency-key.json"
    "not-json.txt"
    "not-utf8.bin"
    "null.json"
    "string.json"
    "trailing-garbage.json"
    "truncated.json"
};

/// Returns a body with another idempotency key and every other byte unchanged; `None` when it does not have a key that
/// is a string.
///
/// ```
/// use jaas_testkit::fixture::with_key;
///
/// assert_eq!(with_key(r#"{"idempotencyKey" : "a", "x":1}"#, "b").unwrap(), r#"{"idempotencyKey" : "b", "x":1}"#);
/// ```
pub fn with_key(body: &str, key: &str) -> Option<String> {
    const NAME: &str = "\"idempotencyKey\"";
    let after_name = body.find(NAME)? + NAME.len();
    let open = after_name + body.get(after_name..)?.find('"')? + 1;
    let close = open + body.get(open..)?.find('"')?;
    let key = serde_json::to_string(key).ok()?;
    Some(format!("{}{}{}", &body[..open - 1], key, &body[close + 1..]))
}
