-- MySQL and MariaDB commit after each statement here, so every one can be repeated after a failure in between.
-- Keys are binary: they are compared byte for byte, with case and trailing spaces.
CREATE TABLE IF NOT EXISTS jaas_events (
    id              BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint        VARBINARY(255) NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    event_type      VARBINARY(255) NOT NULL,
    session_id      VARBINARY(255),
    fqn             VARBINARY(255) NOT NULL,
    ordering_key    VARBINARY(260) NOT NULL, -- the session; an event without one has its own
    occurred_at     BIGINT         NOT NULL, -- ms since the epoch, like every time here
    received_at     BIGINT         NOT NULL,
    body            LONGBLOB       NOT NULL,
    body_hash       VARBINARY(32)  NOT NULL, -- SHA-256
    -- W3C trace context of the delivery: traceparent, and after a space tracestate.
    trace_context   VARCHAR(568)   CHARACTER SET ascii COLLATE ascii_bin,
    -- An event that runs is 'waiting' here, and its row in jaas_queues names it.
    state           VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                    CHECK (state IN ('waiting', 'done', 'ignored', 'dead', 'discarded')),
    failures        INTEGER        NOT NULL DEFAULT 0,
    crashes         INTEGER        NOT NULL DEFAULT 0,
    interruptions   INTEGER        NOT NULL DEFAULT 0,
    completed       TEXT           NOT NULL, -- names of handlers that are done, each ended by a line feed
    due_at          BIGINT         NOT NULL,
    passable        SMALLINT       NOT NULL DEFAULT 0, -- 1: later events may pass it while it waits
    place           BIGINT         NOT NULL, -- its place among those that wait: occurred_at, or due_at when passable
    fence           BIGINT         NOT NULL DEFAULT 0,
    worker          VARCHAR(255),
    settled_at      BIGINT,
    note            TEXT,
    erased_at       BIGINT,
    UNIQUE KEY jaas_events_by_key (endpoint, idempotency_key),
    KEY jaas_events_waiting (ordering_key, state, passable, place),
    KEY jaas_events_by_state (state),
    KEY jaas_events_by_session (session_id),
    KEY jaas_events_by_room (fqn),
    KEY jaas_events_settled (state, settled_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row for each session while an event of it waits or runs: what there is to claim.
CREATE TABLE IF NOT EXISTS jaas_queues (
    ordering_key VARBINARY(260) NOT NULL PRIMARY KEY,
    due_at       BIGINT         NOT NULL, -- when to look at it next; while an event runs, the end of its lease
    head_place   BIGINT         NOT NULL, -- no event that waits and is not passable has an earlier place
    event_id     BIGINT,                  -- the event that runs
    fence        BIGINT         NOT NULL DEFAULT 0,
    worker       VARCHAR(255),
    phase        SMALLINT       NOT NULL DEFAULT 0, -- 0: waits; 1: waits, and its head has crashed before; 2: an event runs
    suspect_turn SMALLINT,                -- 1 while such an event runs: only one does at a time
    lone         SMALLINT       NOT NULL DEFAULT 0, -- 1: it was made for one event, and none has come since
    UNIQUE KEY jaas_queues_suspect_turn (suspect_turn),
    KEY jaas_queues_due (phase, due_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How many rows there are of each state, and of conflicts and quarantined bodies: the sum over the slots, which are
-- several so that writers do not wait for each other.
CREATE TABLE IF NOT EXISTS jaas_counts (
    name   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    slot   SMALLINT    NOT NULL,
    amount BIGINT      NOT NULL,
    PRIMARY KEY (name, slot)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS jaas_conflicts (
    id                BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint          VARBINARY(255) NOT NULL,
    idempotency_key   VARBINARY(255) NOT NULL,
    body              LONGBLOB       NOT NULL,
    body_hash         VARBINARY(32)  NOT NULL,
    first_received_at BIGINT         NOT NULL,
    last_received_at  BIGINT         NOT NULL,
    seen              INTEGER        NOT NULL DEFAULT 1,
    UNIQUE KEY jaas_conflicts_by_body (endpoint, idempotency_key, body_hash),
    KEY jaas_conflicts_by_key (endpoint, idempotency_key),
    KEY jaas_conflicts_by_time (last_received_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS jaas_quarantine (
    id                BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint          VARBINARY(255) NOT NULL,
    body              LONGBLOB       NOT NULL,
    body_hash         VARBINARY(32)  NOT NULL,
    reason            TEXT           NOT NULL,
    first_received_at BIGINT         NOT NULL,
    last_received_at  BIGINT         NOT NULL,
    seen              INTEGER        NOT NULL DEFAULT 1,
    UNIQUE KEY jaas_quarantine_by_body (endpoint, body_hash),
    KEY jaas_quarantine_by_time (last_received_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Attempts that did not succeed.
CREATE TABLE IF NOT EXISTS jaas_attempts (
    id       BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id BIGINT      NOT NULL,
    fence    BIGINT      NOT NULL,
    worker   VARCHAR(255),
    outcome  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
             CHECK (outcome IN ('failed', 'crashed', 'interrupted')),
    error    TEXT,
    ended_at BIGINT      NOT NULL,
    KEY jaas_attempts_by_event (event_id),
    KEY jaas_attempts_by_outcome (outcome)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What operators did to events.
CREATE TABLE IF NOT EXISTS jaas_audit (
    id              BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id        BIGINT         NOT NULL,
    endpoint        VARBINARY(255) NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    action          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                    CHECK (action IN ('replayed', 'discarded', 'erased', 'revealed', 'rehearsed')),
    actor           TEXT           NOT NULL,
    reason          TEXT           NOT NULL,
    acted_at        BIGINT         NOT NULL,
    KEY jaas_audit_by_event (event_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What meetings start with. The row with neither tenant nor room is the default.
CREATE TABLE IF NOT EXISTS jaas_settings (
    id       BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant   VARBINARY(255) NOT NULL, -- lower case; '' for any
    room     VARBINARY(255) NOT NULL, -- percent-decoded, lower case
    fqn      VARBINARY(768) NOT NULL, -- as it was given
    settings MEDIUMTEXT     NOT NULL, -- JSON
    UNIQUE KEY jaas_settings_by_room (room, tenant)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was answered, from which source, and why.
CREATE TABLE IF NOT EXISTS jaas_settings_records (
    id          BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint    VARBINARY(255) NOT NULL,
    tenant      VARBINARY(255) NOT NULL,
    room        VARBINARY(255) NOT NULL,
    fqn         VARBINARY(768) NOT NULL,
    received_at BIGINT         NOT NULL, -- ms since the epoch
    took_us     BIGINT         NOT NULL,
    source      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    failure     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    error       TEXT,
    decided_by  TEXT,
    answer      MEDIUMTEXT     NOT NULL, -- JSON without passcode and phone number
    KEY jaas_settings_records_by_room (room),
    KEY jaas_settings_records_by_time (received_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What had happened up to a moment of each minute, for charts: the differences of two rows count. Made of jaas_counts, and
-- kept for two days.
CREATE TABLE IF NOT EXISTS jaas_activity (
    minute   BIGINT NOT NULL PRIMARY KEY, -- since the epoch
    taken_at BIGINT NOT NULL, -- ms since the epoch
    accepted BIGINT NOT NULL,
    settled  BIGINT NOT NULL, -- done or ignored
    failed   BIGINT NOT NULL, -- runs
    dead     BIGINT NOT NULL,
    waiting  BIGINT NOT NULL  -- wait or run at that moment
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
