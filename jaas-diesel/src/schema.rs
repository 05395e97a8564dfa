//! The tables, in types that every backend has.

diesel::table! {
    jaas_events (id) {
        id -> BigInt,
        endpoint -> Text,
        idempotency_key -> Text,
        event_type -> Text,
        session_id -> Nullable<Text>,
        fqn -> Text,
        occurred_at -> BigInt,
        received_at -> BigInt,
        body -> Binary,
        body_hash -> Binary,
        state -> Text,
        failures -> Integer,
        crashes -> Integer,
        interruptions -> Integer,
        completed -> Text,
        due_at -> BigInt,
        fence -> BigInt,
        worker -> Nullable<Text>,
        leased_until -> BigInt,
        settled_at -> Nullable<BigInt>,
        note -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_conflicts (id) {
        id -> BigInt,
        endpoint -> Text,
        idempotency_key -> Text,
        body -> Binary,
        body_hash -> Binary,
        first_received_at -> BigInt,
        last_received_at -> BigInt,
        seen -> Integer,
    }
}

diesel::table! {
    jaas_quarantine (id) {
        id -> BigInt,
        endpoint -> Text,
        body -> Binary,
        body_hash -> Binary,
        reason -> Text,
        first_received_at -> BigInt,
        last_received_at -> BigInt,
        seen -> Integer,
    }
}
