-- Sessions that are watched: a row for each of which something was seen that should be followed,
-- and for each endpoint (endpoint:<name>).
CREATE TABLE jaas_watched (
    session_id   TEXT   PRIMARY KEY NOT NULL,
    fqn          TEXT   NOT NULL,
    last_seen_at BIGINT NOT NULL, -- when something was recorded last; ms since the epoch, like every time here
    version      BIGINT NOT NULL DEFAULT 0, -- how often something was recorded
    open_gaps    BIGINT NOT NULL DEFAULT 0,
    due_at       BIGINT, -- when it is to be audited, or until when it is claimed; NULL when nothing is awaited
    fence        BIGINT NOT NULL DEFAULT 0,
    worker       TEXT
);
CREATE INDEX jaas_watched_due ON jaas_watched (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jaas_watched_by_time ON jaas_watched (last_seen_at);

-- What was seen in a session. No names, addresses or links.
CREATE TABLE jaas_sightings (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  TEXT   NOT NULL,
    -- opened, closed, joined, left, recording_started, recording_ended, recording_uploaded, phrase,
    -- transcription_uploaded, usage; of an endpoint: listening, heard, refused
    what        TEXT   NOT NULL,
    slot        TEXT   NOT NULL, -- the idempotencyKey, or what there is one of
    place       TEXT   NOT NULL, -- main, or breakout:<id>
    presence    TEXT   NOT NULL, -- the participantId, or a hash of the address; '' when it is about nobody
    via         TEXT   NOT NULL, -- participant, visitor, dial_in, dial_out, sip_in, sip_out
    happened_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    began_at    BIGINT, -- of an uploaded recording
    ended_at    BIGINT,
    UNIQUE (session_id, what, slot)
);
CREATE INDEX jaas_sightings_by_session ON jaas_sightings (session_id, id);

-- Events that should have come and did not.
CREATE TABLE jaas_gaps (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id     TEXT   NOT NULL,
    rule           TEXT   NOT NULL,
    subject        TEXT   NOT NULL, -- of which one in the session
    participant_id TEXT,
    tenant         TEXT   NOT NULL, -- lower case; '' when there is none
    room           TEXT   NOT NULL, -- percent-decoded, lower case
    fqn            TEXT   NOT NULL,
    seen_at        BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    found_at       BIGINT NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('open', 'closed')),
    closed_at      BIGINT,
    UNIQUE (session_id, rule, subject)
);
CREATE INDEX jaas_gaps_by_session ON jaas_gaps (session_id, id);
CREATE INDEX jaas_gaps_by_state ON jaas_gaps (state, id);
CREATE INDEX jaas_gaps_by_rule ON jaas_gaps (state, rule, id);
CREATE INDEX jaas_gaps_by_room ON jaas_gaps (room, id);
