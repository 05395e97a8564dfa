//! The tables of watched sessions and their gaps, in types that every backend has.

diesel::table! {
    jaas_watched (session_id) {
        session_id -> Text,
        fqn -> Text,
        last_seen_at -> BigInt,
        version -> BigInt,
        open_gaps -> BigInt,
        due_at -> Nullable<BigInt>,
        fence -> BigInt,
        worker -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_sightings (id) {
        id -> BigInt,
        session_id -> Text,
        what -> Text,
        slot -> Text,
        place -> Text,
        presence -> Text,
        via -> Text,
        happened_at -> BigInt,
        recorded_at -> BigInt,
        began_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    jaas_gaps (id) {
        id -> BigInt,
        session_id -> Text,
        rule -> Text,
        subject -> Text,
        participant_id -> Nullable<Text>,
        tenant -> Text,
        room -> Text,
        fqn -> Text,
        seen_at -> BigInt,
        due_at -> BigInt,
        found_at -> BigInt,
        state -> Text,
        closed_at -> Nullable<BigInt>,
    }
}
