-- Files behind links of events: what is to be fetched, and what became of it. The link is in the event's body alone.
CREATE TABLE IF NOT EXISTS jaas_artifacts (
    id         BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id   BIGINT         NOT NULL,
    slot       VARBINARY(255) NOT NULL, -- the field of the event that has the link
    kind       VARCHAR(32)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    session_id VARBINARY(255),
    deadline   BIGINT         NOT NULL, -- ms since the epoch, like every time here
    -- 0: can be claimed; 1: waits until due_at; 2: is being fetched, leased until due_at; 3: settled
    phase      SMALLINT       NOT NULL DEFAULT 0,
    outcome    VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin
               CHECK (outcome IN ('stored', 'lost', 'ended')), -- when settled
    due_at     BIGINT         NOT NULL,
    risk_at    BIGINT,        -- from when on it is at risk, until the application was told or it is kept or settled
    failures   INTEGER        NOT NULL DEFAULT 0,
    fence      BIGINT         NOT NULL DEFAULT 0,
    worker     VARCHAR(255),
    object     TEXT,          -- its name in the sink, once it is there
    bytes      BIGINT,
    sha256     VARBINARY(32),
    why        VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin, -- why it was lost, or would be
    error      TEXT,
    settled_at BIGINT,
    UNIQUE KEY jaas_artifacts_by_slot (event_id, slot),
    KEY jaas_artifacts_by_deadline (phase, deadline, id),
    KEY jaas_artifacts_by_due (phase, due_at),
    KEY jaas_artifacts_by_risk (risk_at),
    KEY jaas_artifacts_by_session (session_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
