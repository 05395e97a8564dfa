//! The tables of this application, beside those of the inbox.

diesel::table! {
    /// One row for each event that was handled. Nothing in the table keeps a key from coming twice: that each comes
    /// once is the doing of the transaction that also completes the event.
    handled (event_key) {
        event_key -> Text,
        kind -> Text,
        session_id -> Nullable<Text>,
        worker -> Text,
        attempt -> Integer,
    }
}

diesel::table! {
    /// Who attended which meeting, from when until when, in ms since the epoch.
    attendance (session_id, participant_id) {
        session_id -> Text,
        participant_id -> Text,
        joined_at -> Nullable<BigInt>,
        left_at -> Nullable<BigInt>,
    }
}
