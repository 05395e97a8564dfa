//! The tables of meetings, in types that every backend has.

/// All of them; each has a column `session_id`.
pub(crate) const TABLES: [&str; 4] = ["jaas_marks", "jaas_stays", "jaas_edges", "jaas_sittings"];

diesel::table! {
    jaas_sittings (session_id) {
        session_id -> Text,
        tenant -> Text,
        room -> Text,
        first_at -> BigInt,
        opened_at -> Nullable<BigInt>,
        last_opened_at -> Nullable<BigInt>,
        last_closed_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        due_at -> Nullable<BigInt>,
        told_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    jaas_edges (session_id, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        what -> Text,
        place -> Text,
        presence -> Text,
        via -> Text,
        reason -> Nullable<Text>,
        user_id -> Nullable<Text>,
        participant_id -> Nullable<Text>,
        jid -> Nullable<Text>,
        name -> Nullable<Text>,
        email -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_stays (session_id, presence, place, joined_at) {
        session_id -> Text,
        presence -> Text,
        place -> Text,
        joined_at -> BigInt,
        left_at -> Nullable<BigInt>,
        estimated -> SmallInt,
        reason -> Nullable<Text>,
        tenant -> Text,
        room -> Text,
        via -> Text,
        user_id -> Nullable<Text>,
        participant_id -> Nullable<Text>,
        jid -> Nullable<Text>,
        name -> Nullable<Text>,
        email -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_marks (session_id, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        kind -> Text,
    }
}
