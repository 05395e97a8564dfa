CREATE TABLE jaas_events (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    endpoint        TEXT     NOT NULL,
    idempotency_key TEXT     NOT NULL,
    event_type      TEXT     NOT NULL,
    session_id      TEXT,
    fqn             TEXT     NOT NULL,
    ordering_key    TEXT     NOT NULL, -- the session; an event without one has its own
    occurred_at     BIGINT   NOT NULL, -- ms since the epoch, like every time here
    received_at     BIGINT   NOT NULL,
    body            BLOB     NOT NULL,
    body_hash       BLOB     NOT NULL, -- SHA-256
    trace_context   TEXT, -- W3C trace context of the delivery: traceparent, and after a space tracestate
    -- An event that runs is 'waiting' here, and its row in jaas_queues names it.
    state           TEXT     NOT NULL CHECK (state IN ('waiting', 'done', 'ignored', 'dead', 'discarded')),
    failures        INTEGER  NOT NULL DEFAULT 0,
    crashes         INTEGER  NOT NULL DEFAULT 0,
    interruptions   INTEGER  NOT NULL DEFAULT 0,
    completed       TEXT     NOT NULL DEFAULT '', -- names of handlers that are done, each ended by a line feed
    due_at          BIGINT   NOT NULL,
    passable        SMALLINT NOT NULL DEFAULT 0, -- 1: later events may pass it while it waits
    place           BIGINT   NOT NULL, -- its place among those that wait: occurred_at, or due_at when passable
    fence           BIGINT   NOT NULL DEFAULT 0,
    worker          TEXT,
    settled_at      BIGINT,
    note            TEXT,
    erased_at       BIGINT,
    UNIQUE (endpoint, idempotency_key)
);
CREATE INDEX jaas_events_waiting ON jaas_events (ordering_key, passable, place, id) WHERE state = 'waiting';
CREATE INDEX jaas_events_by_state ON jaas_events (state, id);
CREATE INDEX jaas_events_by_session ON jaas_events (session_id, id);
CREATE INDEX jaas_events_by_room ON jaas_events (fqn, id);
CREATE INDEX jaas_events_settled ON jaas_events (state, settled_at, id) WHERE settled_at IS NOT NULL;

-- One row for each session while an event of it waits or runs: what there is to claim.
CREATE TABLE jaas_queues (
    ordering_key TEXT     PRIMARY KEY NOT NULL,
    due_at       BIGINT   NOT NULL, -- when to look at it next; while an event runs, the end of its lease
    head_place   BIGINT   NOT NULL, -- no event that waits and is not passable has an earlier place
    event_id     BIGINT,            -- the event that runs
    fence        BIGINT   NOT NULL DEFAULT 0,
    worker       TEXT,
    phase        SMALLINT NOT NULL DEFAULT 0, -- 0: waits; 1: waits, and its head has crashed before; 2: an event runs
    suspect_turn SMALLINT,          -- 1 while such an event runs: only one does at a time
    lone         SMALLINT NOT NULL DEFAULT 0  -- 1: it was made for one event, and none has come since
) WITHOUT ROWID;
-- Without the queues that have none: every accepted event would change a page of each.
CREATE UNIQUE INDEX jaas_queues_event ON jaas_queues (event_id) WHERE event_id IS NOT NULL;
CREATE UNIQUE INDEX jaas_queues_suspect ON jaas_queues (suspect_turn) WHERE suspect_turn IS NOT NULL;
CREATE INDEX jaas_queues_due ON jaas_queues (phase, due_at);

-- How many rows there are of each state, and of conflicts and quarantined bodies: the sum over the slots, which are
-- several so that writers do not wait for each other.
CREATE TABLE jaas_counts (
    name   TEXT     NOT NULL,
    slot   SMALLINT NOT NULL,
    amount BIGINT   NOT NULL,
    PRIMARY KEY (name, slot)
) WITHOUT ROWID;

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
CREATE INDEX jaas_conflicts_by_key ON jaas_conflicts (endpoint, idempotency_key, id);
CREATE INDEX jaas_conflicts_by_time ON jaas_conflicts (last_received_at, id);

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
CREATE INDEX jaas_quarantine_by_time ON jaas_quarantine (last_received_at, id);

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
CREATE INDEX jaas_attempts_by_event ON jaas_attempts (event_id, id);
CREATE INDEX jaas_attempts_by_outcome ON jaas_attempts (outcome, id);

-- What operators did to events.
CREATE TABLE jaas_audit (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id        BIGINT  NOT NULL,
    endpoint        TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    action          TEXT    NOT NULL CHECK (action IN ('replayed', 'discarded', 'erased', 'revealed', 'rehearsed')),
    actor           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    acted_at        BIGINT  NOT NULL
);
CREATE INDEX jaas_audit_by_event ON jaas_audit (event_id, id);

-- What meetings start with. The row with neither tenant nor room is the default.
CREATE TABLE jaas_settings (
    id       INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tenant   TEXT    NOT NULL, -- lower case; '' for any
    room     TEXT    NOT NULL, -- percent-decoded, lower case
    fqn      TEXT    NOT NULL, -- as it was given
    settings TEXT    NOT NULL, -- JSON
    UNIQUE (room, tenant)
);

-- What was answered, from which source, and why.
CREATE TABLE jaas_settings_records (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    endpoint    TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    room        TEXT    NOT NULL,
    fqn         TEXT    NOT NULL,
    received_at BIGINT  NOT NULL, -- ms since the epoch
    took_us     BIGINT  NOT NULL,
    source      TEXT    NOT NULL,
    failure     TEXT,
    error       TEXT,
    decided_by  TEXT,
    answer      TEXT    NOT NULL -- JSON without passcode and phone number
);
CREATE INDEX jaas_settings_records_by_room ON jaas_settings_records (room, id);
CREATE INDEX jaas_settings_records_by_time ON jaas_settings_records (received_at, id);

-- What had happened up to a moment of each minute, for charts: the differences of two rows count. Made of jaas_counts, and
-- kept for two days.
CREATE TABLE jaas_activity (
    minute   INTEGER PRIMARY KEY NOT NULL, -- since the epoch
    taken_at BIGINT NOT NULL, -- ms since the epoch
    accepted BIGINT NOT NULL,
    settled  BIGINT NOT NULL, -- done or ignored
    failed   BIGINT NOT NULL, -- runs
    dead     BIGINT NOT NULL,
    waiting  BIGINT NOT NULL  -- wait or run at that moment
);
