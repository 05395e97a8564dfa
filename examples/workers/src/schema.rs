//! The tables of this application, beside those of the inbox.

diesel::table! {
    /// One row for each event that was handled. It has a primary key, a number, because replication needs one; nothing in
    /// the table keeps an event's key from coming twice: that each comes once is the doing of the transaction that also
    /// completes the event.
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
    /// Somebody came to or left a room of a meeting, in ms since the epoch. `presence` is the participant id, or the address of
    /// a visitor, who has no participant id. `examples/quickstart` computes stays of such rows and `endings`.
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
