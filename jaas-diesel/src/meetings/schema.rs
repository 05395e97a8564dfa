//! The tables of meetings, in types that every backend has.

/// All of them; each has a column `session_id`.
pub(crate) const TABLES: [&str; 11] = [
    "jaas_marks",
    "jaas_devices",
    "jaas_talk",
    "jaas_polls",
    "jaas_poll_answers",
    "jaas_reactions",
    "jaas_feedback",
    "jaas_phrases",
    "jaas_stays",
    "jaas_edges",
    "jaas_sittings",
];

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
    jaas_edges (session_id, presence, event_key) {
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

diesel::table! {
    jaas_devices (session_id, event_key, device) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        device -> Text,
        tenant -> Text,
        month -> Integer,
    }
}

diesel::table! {
    jaas_talk (session_id, event_key, jid) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        jid -> Text,
        user_id -> Nullable<Text>,
        talked_ms -> BigInt,
    }
}

diesel::table! {
    jaas_polls (session_id, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        poll_id -> Text,
        user_id -> Nullable<Text>,
        participant_id -> Nullable<Text>,
        question -> Nullable<Text>,
        options -> Text,
    }
}

diesel::table! {
    jaas_poll_answers (session_id, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        poll_id -> Text,
        voter -> Text,
        user_id -> Nullable<Text>,
        ticked -> Text,
    }
}

diesel::table! {
    jaas_reactions (session_id, event_key, user_id, reaction) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        user_id -> Text,
        reaction -> Text,
        amount -> BigInt,
        aggregated -> SmallInt,
    }
}

diesel::table! {
    jaas_feedback (session_id, happened_at, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        user_id -> Nullable<Text>,
        stars -> Nullable<SmallInt>,
        comments -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_phrases (session_id, happened_at, event_key) {
        session_id -> Text,
        event_key -> Text,
        happened_at -> BigInt,
        message_id -> Text,
        participant_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        name -> Nullable<Text>,
        language -> Nullable<Text>,
        said -> Text,
    }
}
