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
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'ignored', 'dead', 'discarded')),
    failures        INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    interruptions   INTEGER NOT NULL DEFAULT 0,
    completed       TEXT    NOT NULL DEFAULT '', -- names of handlers that are done, each ended by a line feed
    due_at          BIGINT  NOT NULL,
    fence           BIGINT  NOT NULL DEFAULT 0,
    worker          TEXT,
    leased_until    BIGINT  NOT NULL DEFAULT 0,
    settled_at      BIGINT,
    note            TEXT,
    erased_at       BIGINT,
    UNIQUE (endpoint, idempotency_key)
);
CREATE INDEX jaas_events_waiting ON jaas_events (due_at, id) WHERE state = 'waiting';
CREATE INDEX jaas_events_suspect ON jaas_events (id) WHERE state = 'waiting' AND crashes > 0;
CREATE INDEX jaas_events_running ON jaas_events (leased_until) WHERE state = 'running';
-- Of a session one event runs at a time, and of those that crashed one in all.
CREATE UNIQUE INDEX jaas_events_running_session ON jaas_events (session_id) WHERE state = 'running';
CREATE UNIQUE INDEX jaas_events_running_suspect ON jaas_events (state) WHERE state = 'running' AND crashes > 0;
CREATE INDEX jaas_events_by_session ON jaas_events (session_id, state, occurred_at, id);
CREATE INDEX jaas_events_by_room ON jaas_events (fqn, occurred_at);
CREATE INDEX jaas_events_settled ON jaas_events (state, settled_at) WHERE settled_at IS NOT NULL;

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

-- Attempts that did not succeed.
CREATE TABLE jaas_attempts (
    id       INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id BIGINT  NOT NULL,
    fence    BIGINT  NOT NULL,
    worker   TEXT,
    outcome  TEXT    NOT NULL CHECK (outcome IN ('failed', 'crashed', 'interrupted')),
    error    TEXT,
    ended_at BIGINT  NOT NULL
);
CREATE INDEX jaas_attempts_by_event ON jaas_attempts (event_id);

-- What people did to events.
CREATE TABLE jaas_audit (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id        BIGINT  NOT NULL,
    endpoint        TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    action          TEXT    NOT NULL CHECK (action IN ('replayed', 'discarded', 'erased')),
    actor           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    acted_at        BIGINT  NOT NULL
);
