//! The tables of this application, beside those of the inbox.

diesel::table! {
    /// One row for each handled event. It has a numeric primary key, because replication needs one. The table itself does not
    /// prevent an event's key from appearing twice: the transaction that also completes the event does.
    handled (id) {
        id -> BigInt,
        event_key -> Text,
        kind -> Text,
        session_id -> Nullable<Text>,
        worker -> Text,
        attempt -> Integer,
    }
}

diesel::table! {
    /// A participant joined or left a room of a meeting; `at` is in ms since the epoch. `presence` is the participant id, or the
    /// address of a visitor, who has no participant id. `examples/quickstart` computes stays from such rows and `endings`.
    edges (session_id, presence, room, at, joined) {
        session_id -> Text,
        presence -> Text,
        room -> Text,
        at -> BigInt,
        joined -> Bool,
    }
}

diesel::table! {
    /// When a meeting ended, in ms since the epoch.
    endings (session_id) {
        session_id -> Text,
        ended_at -> BigInt,
    }
}
