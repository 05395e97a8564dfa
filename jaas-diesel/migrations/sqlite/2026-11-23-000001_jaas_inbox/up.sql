CREATE TABLE jaas_events (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    endpoint        TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    session_id      TEXT,
    fqn             TEXT    NOT NULL,
    occurred_at     BIGINT  NOT NULL, -- ms since the epoch, like every time here
    received_at     BIGINT  NOT NULL,
    body            BLOB    NOT NULL,
    body_hash       BLOB    NOT NULL, -- SHA-256
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'ignored', 'dead')),
    failures        INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    interruptions   INTEGER NOT NULL DEFAULT 0,
    completed       TEXT    NOT NULL DEFAULT '', -- names of handlers that are done, one per line
    due_at          BIGINT  NOT NULL,
    fence           BIGINT  NOT NULL DEFAULT 0,
    worker          TEXT,
    leased_until    BIGINT  NOT NULL DEFAULT 0,
    settled_at      BIGINT,
    note            TEXT,
    UNIQUE (endpoint, idempotency_key)
);
CREATE INDEX jaas_events_by_state ON jaas_events (state, due_at, id);
CREATE INDEX jaas_events_by_session ON jaas_events (session_id, state, occurred_at);

CREATE TABLE jaas_conflicts (
    id                INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    endpoint          TEXT    NOT NULL,
    idempotency_key   TEXT    NOT NULL,
    body              BLOB    NOT NULL,
    body_hash         BLOB    NOT NULL,
    first_received_at BIGINT  NOT NULL,
    last_received_at  BIGINT  NOT NULL,
    seen              INTEGER NOT NULL DEFAULT 1,
    UNIQUE (endpoint, idempotency_key, body_hash)
);

CREATE TABLE jaas_quarantine (
    id                INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    endpoint          TEXT    NOT NULL,
    body              BLOB    NOT NULL,
    body_hash         BLOB    NOT NULL,
    reason            TEXT    NOT NULL,
    first_received_at BIGINT  NOT NULL,
    last_received_at  BIGINT  NOT NULL,
    seen              INTEGER NOT NULL DEFAULT 1,
    UNIQUE (endpoint, body_hash)
);
