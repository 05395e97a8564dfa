-- Files behind links of events: what is to be fetched, and what became of it. The link is in the event's body alone.
CREATE TABLE jaas_artifacts (
    id         BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   BIGINT   NOT NULL,
    slot       TEXT     NOT NULL, -- the field of the event that has the link
    kind       TEXT     NOT NULL,
    session_id TEXT,
    deadline   BIGINT   NOT NULL, -- ms since the epoch, like every time here
    phase      SMALLINT NOT NULL DEFAULT 0, -- 0: can be claimed; 1: waits until due_at; 2: is being fetched, leased until due_at; 3: settled
    outcome    TEXT CHECK (outcome IN ('stored', 'lost', 'ended')), -- when settled
    due_at     BIGINT   NOT NULL,
    risk_at    BIGINT,   -- from when on it is at risk, until the application was told or it is kept or settled
    failures   INTEGER  NOT NULL DEFAULT 0,
    fence      BIGINT   NOT NULL DEFAULT 0,
    worker     TEXT,
    object     TEXT,     -- its name in the sink, once it is there
    bytes      BIGINT,
    sha256     BYTEA,
    why        TEXT,     -- why it was lost, or would be
    error      TEXT,
    settled_at BIGINT,
    UNIQUE (event_id, slot)
);
CREATE INDEX jaas_artifacts_by_deadline ON jaas_artifacts (phase, deadline, id);
CREATE INDEX jaas_artifacts_by_due ON jaas_artifacts (phase, due_at);
CREATE INDEX jaas_artifacts_by_risk ON jaas_artifacts (risk_at) WHERE risk_at IS NOT NULL;
CREATE INDEX jaas_artifacts_by_session ON jaas_artifacts (session_id, id);
