-- Sessions that are watched: a row for each of which something was seen that should be followed,
-- and for each endpoint (endpoint:<name>).
CREATE TABLE IF NOT EXISTS jaas_watched (
    session_id   VARBINARY(255) NOT NULL PRIMARY KEY,
    fqn          TEXT   NOT NULL,
    last_seen_at BIGINT NOT NULL, -- when something was recorded last; ms since the epoch, like every time here
    version      BIGINT NOT NULL DEFAULT 0, -- how often something was recorded
    open_gaps    BIGINT NOT NULL DEFAULT 0,
    due_at       BIGINT, -- when it is to be audited, or until when it is claimed; NULL when nothing is awaited
    fence        BIGINT NOT NULL DEFAULT 0,
    worker       VARCHAR(255),
    KEY jaas_watched_due (due_at),
    KEY jaas_watched_by_time (last_seen_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was seen in a session. No names, addresses or links.
CREATE TABLE IF NOT EXISTS jaas_sightings (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    session_id  VARBINARY(255) NOT NULL,
    -- opened, closed, joined, left, recording_started, recording_ended, recording_uploaded, phrase,
    -- transcription_uploaded, usage; of an endpoint: listening, heard, refused
    what        VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    slot        VARBINARY(255) NOT NULL, -- the idempotencyKey, or what there is one of
    place       VARBINARY(255) NOT NULL, -- main, or breakout:<id>
    presence    VARBINARY(255) NOT NULL, -- the participantId, or a hash of the address; '' when it is about nobody
    via         VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- participant, visitor, dial_in, …
    happened_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    began_at    BIGINT, -- of an uploaded recording
    ended_at    BIGINT,
    UNIQUE KEY jaas_sightings_once (session_id, what, slot),
    KEY jaas_sightings_by_session (session_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Events that should have come and did not.
CREATE TABLE IF NOT EXISTS jaas_gaps (
    id             BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    session_id     VARBINARY(255) NOT NULL,
    rule           VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject        VARBINARY(255) NOT NULL, -- of which one in the session
    participant_id VARBINARY(255),
    tenant         VARBINARY(255) NOT NULL, -- lower case; '' when there is none
    room           VARBINARY(255) NOT NULL, -- percent-decoded, lower case
    fqn            TEXT   NOT NULL,
    seen_at        BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    found_at       BIGINT NOT NULL,
    state          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (state IN ('open', 'closed')),
    closed_at      BIGINT,
    UNIQUE KEY jaas_gaps_once (session_id, rule, subject),
    KEY jaas_gaps_by_session (session_id, id),
    KEY jaas_gaps_by_state (state, id),
    KEY jaas_gaps_by_rule (state, rule, id),
    KEY jaas_gaps_by_room (room, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
