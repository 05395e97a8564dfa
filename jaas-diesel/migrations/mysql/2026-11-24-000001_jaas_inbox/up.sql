-- MySQL and MariaDB commit after each statement here, so every one can be repeated after a failure in between.
-- Keys are binary: they are compared byte for byte, with case and trailing spaces.
CREATE TABLE IF NOT EXISTS jaas_events (
    id              BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint        VARBINARY(255) NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    event_type      VARBINARY(255) NOT NULL,
    session_id      VARBINARY(255),
    fqn             VARBINARY(255) NOT NULL,
    occurred_at     BIGINT         NOT NULL, -- ms since the epoch, like every time here
    received_at     BIGINT         NOT NULL,
    body            LONGBLOB       NOT NULL,
    body_hash       VARBINARY(32)  NOT NULL, -- SHA-256
    state           VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                    CHECK (state IN ('waiting', 'running', 'done', 'ignored', 'dead', 'discarded')),
    failures        INTEGER        NOT NULL DEFAULT 0,
    crashes         INTEGER        NOT NULL DEFAULT 0,
    interruptions   INTEGER        NOT NULL DEFAULT 0,
    completed       TEXT           NOT NULL, -- names of handlers that are done, each ended by a line feed
    due_at          BIGINT         NOT NULL,
    fence           BIGINT         NOT NULL DEFAULT 0,
    worker          VARCHAR(255),
    leased_until    BIGINT         NOT NULL DEFAULT 0,
    settled_at      BIGINT,
    note            TEXT,
    erased_at       BIGINT,
    -- Of a session one event runs at a time, and of those that crashed one in all.
    running_session VARBINARY(255) AS (IF(state = 'running', session_id, NULL)) STORED,
    running_suspect TINYINT        AS (IF(state = 'running' AND crashes > 0, 1, NULL)) STORED,
    UNIQUE KEY jaas_events_by_key (endpoint, idempotency_key),
    UNIQUE KEY jaas_events_running_session (running_session),
    UNIQUE KEY jaas_events_running_suspect (running_suspect),
    KEY jaas_events_waiting (state, due_at, id),
    KEY jaas_events_suspect (state, crashes),
    KEY jaas_events_running (state, leased_until),
    KEY jaas_events_by_session (session_id, state, occurred_at, id),
    KEY jaas_events_by_room (fqn, occurred_at),
    KEY jaas_events_settled (state, settled_at)
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
    UNIQUE KEY jaas_conflicts_by_body (endpoint, idempotency_key, body_hash)
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
    UNIQUE KEY jaas_quarantine_by_body (endpoint, body_hash)
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
    KEY jaas_attempts_by_event (event_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What people did to events.
CREATE TABLE IF NOT EXISTS jaas_audit (
    id              BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id        BIGINT         NOT NULL,
    endpoint        VARBINARY(255) NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    action          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                    CHECK (action IN ('replayed', 'discarded', 'erased')),
    actor           TEXT           NOT NULL,
    reason          TEXT           NOT NULL,
    acted_at        BIGINT         NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
