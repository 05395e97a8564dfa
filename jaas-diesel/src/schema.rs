//! The tables, with column types that every backend has.

diesel::table! {
    jaas_events (id) {
        id -> BigInt,
        endpoint -> Text,
        idempotency_key -> Text,
        event_type -> Text,
        session_id -> Nullable<Text>,
        fqn -> Text,
        ordering_key -> Text,
        occurred_at -> BigInt,
        received_at -> BigInt,
        body -> Binary,
        body_hash -> Binary,
        trace_context -> Nullable<Text>,
        state -> Text,
        failures -> Integer,
        crashes -> Integer,
        interruptions -> Integer,
        completed -> Text,
        due_at -> BigInt,
        passable -> SmallInt,
        place -> BigInt,
        fence -> BigInt,
        worker -> Nullable<Text>,
        settled_at -> Nullable<BigInt>,
        note -> Nullable<Text>,
        erased_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    jaas_queues (ordering_key) {
        ordering_key -> Text,
        due_at -> BigInt,
        head_place -> BigInt,
        event_id -> Nullable<BigInt>,
        fence -> BigInt,
        worker -> Nullable<Text>,
        phase -> SmallInt,
        suspect_turn -> Nullable<SmallInt>,
        lone -> SmallInt,
    }
}

diesel::table! {
    jaas_counts (name, slot) {
        name -> Text,
        slot -> SmallInt,
        amount -> BigInt,
    }
}

diesel::table! {
    jaas_activity (minute) {
        minute -> BigInt,
        taken_at -> BigInt,
        accepted -> BigInt,
        settled -> BigInt,
        failed -> BigInt,
        dead -> BigInt,
        waiting -> BigInt,
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

diesel::table! {
    jaas_attempts (id) {
        id -> BigInt,
        event_id -> BigInt,
        fence -> BigInt,
        worker -> Nullable<Text>,
        outcome -> Text,
        error -> Nullable<Text>,
        ended_at -> BigInt,
    }
}

diesel::table! {
    jaas_audit (id) {
        id -> BigInt,
        event_id -> BigInt,
        endpoint -> Text,
        idempotency_key -> Text,
        action -> Text,
        actor -> Text,
        reason -> Text,
        acted_at -> BigInt,
    }
}

diesel::table! {
    jaas_settings (id) {
        id -> BigInt,
        tenant -> Text,
        room -> Text,
        fqn -> Text,
        settings -> Text,
    }
}

diesel::table! {
    jaas_settings_records (id) {
        id -> BigInt,
        endpoint -> Text,
        tenant -> Text,
        room -> Text,
        fqn -> Text,
        received_at -> BigInt,
        took_us -> BigInt,
        source -> Text,
        failure -> Nullable<Text>,
        error -> Nullable<Text>,
        decided_by -> Nullable<Text>,
        answer -> Text,
    }
}

diesel::table! {
    jaas_artifacts (id) {
        id -> BigInt,
        event_id -> BigInt,
        slot -> Text,
        kind -> Text,
        session_id -> Nullable<Text>,
        deadline -> BigInt,
        phase -> SmallInt,
        outcome -> Nullable<Text>,
        due_at -> BigInt,
        risk_at -> Nullable<BigInt>,
        failures -> Integer,
        fence -> BigInt,
        worker -> Nullable<Text>,
        object -> Nullable<Text>,
        bytes -> Nullable<BigInt>,
        sha256 -> Nullable<Binary>,
        why -> Nullable<Text>,
        error -> Nullable<Text>,
        settled_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    jaas_drift (id) {
        id -> BigInt,
        kind -> Text,
        event_type -> Text,
        field -> Text,
        detail -> Text,
        seen -> BigInt,
        first_seen -> BigInt,
        last_seen -> BigInt,
        example -> Nullable<BigInt>,
        fixture -> Nullable<Text>,
    }
}

diesel::table! {
    jaas_migrations (version) {
        version -> Text,
        applied_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    jaas_events,
    jaas_artifacts,
    jaas_conflicts,
    jaas_attempts,
    jaas_queues
);

diesel::define_sql_function! {
    /// The number of bytes.
    #[sql_name = "LENGTH"]
    fn length(bytes: diesel::sql_types::Binary) -> diesel::sql_types::Integer;
}

diesel::define_sql_function! {
    /// `length` characters of a text, beginning with character `from`, counted from 1.
    #[sql_name = "SUBSTR"]
    fn substr(
        text: diesel::sql_types::Nullable<diesel::sql_types::Text>,
        from: diesel::sql_types::Integer,
        length: diesel::sql_types::Integer,
    ) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}
