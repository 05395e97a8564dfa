-- When main rooms opened and closed: a row for each session of which either is known.
CREATE TABLE IF NOT EXISTS jaas_sittings (
    session_id     VARBINARY(255) NOT NULL PRIMARY KEY,
    tenant         VARBINARY(255) NOT NULL, -- lower case; '' when there is none
    room           VARBINARY(255) NOT NULL, -- percent-decoded, lower case
    first_at       BIGINT NOT NULL, -- the earlier of its openings and closings; ms since the epoch, like every time here
    opened_at      BIGINT, -- its first opening
    last_opened_at BIGINT,
    last_closed_at BIGINT,
    ended_at       BIGINT, -- its last closing, unless it opened again after that
    due_at         BIGINT, -- when its end is to be announced
    told_at        BIGINT, -- when its end was announced
    KEY jaas_sittings_by_room (room, first_at, session_id),
    KEY jaas_sittings_by_time (first_at, session_id),
    KEY jaas_sittings_due (due_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What each event says about who came to or left a place, or which room opened or closed.
CREATE TABLE IF NOT EXISTS jaas_edges (
    session_id     VARBINARY(255) NOT NULL,
    event_key      VARBINARY(255) NOT NULL, -- the idempotencyKey
    happened_at    BIGINT NOT NULL,
    what           VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (what IN ('opened', 'closed', 'joined', 'left')),
    place          VARBINARY(255) NOT NULL, -- main, lobby, or breakout:<id>
    presence       VARBINARY(255) NOT NULL, -- the participantId, or else the bare address; '' for rooms
    via            VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- participant, visitor, dial_in, dial_out, sip_in, sip_out; '' for rooms
    reason         TEXT,
    user_id        VARBINARY(255),
    participant_id VARBINARY(255),
    jid            TEXT,
    name           TEXT, -- with Names::Keep only, like email and address
    email          TEXT,
    address        TEXT, -- phone number or SIP address
    PRIMARY KEY (session_id, presence, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One presence in one place, from one joining on.
CREATE TABLE IF NOT EXISTS jaas_stays (
    session_id     VARBINARY(255) NOT NULL,
    presence       VARBINARY(255) NOT NULL,
    place          VARBINARY(255) NOT NULL,
    joined_at      BIGINT NOT NULL,
    left_at        BIGINT, -- NULL while they are there
    estimated      SMALLINT NOT NULL, -- 1: no leave was received, and left_at is when they can have left at the latest
    reason         TEXT,
    tenant         VARBINARY(255) NOT NULL,
    room           VARBINARY(255) NOT NULL,
    via            VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id        VARBINARY(255),
    participant_id VARBINARY(255),
    jid            TEXT,
    name           TEXT,
    email          TEXT,
    address        TEXT,
    PRIMARY KEY (session_id, presence, place, joined_at),
    KEY jaas_stays_present (room, left_at, tenant),
    KEY jaas_stays_by_user (user_id, joined_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Moments of meetings: recordings, live streams, files. The rows of this table and the next ones belong to the event
-- with the key, and are never changed.
CREATE TABLE IF NOT EXISTS jaas_marks (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    kind        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- the eventType
    PRIMARY KEY (session_id, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Devices that USAGE counts.
CREATE TABLE IF NOT EXISTS jaas_devices (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    device      VARBINARY(255) NOT NULL, -- the deviceId, hashed with the application's key
    tenant      VARBINARY(255) NOT NULL, -- lower case; '' when there is none
    month       INTEGER NOT NULL, -- of happened_at in UTC, such as 202611
    PRIMARY KEY (session_id, event_key, device),
    KEY jaas_devices_by_month (tenant, month, device)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How long each connection spoke, from SPEAKER_STATS.
CREATE TABLE IF NOT EXISTS jaas_talk (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    jid         VARBINARY(255) NOT NULL, -- the full address
    user_id     VARBINARY(255),
    talked_ms   BIGINT NOT NULL,
    PRIMARY KEY (session_id, event_key, jid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Polls, from POLL_CREATED.
CREATE TABLE IF NOT EXISTS jaas_polls (
    session_id     VARBINARY(255) NOT NULL,
    event_key      VARBINARY(255) NOT NULL,
    happened_at    BIGINT NOT NULL,
    poll_id        VARBINARY(255) NOT NULL,
    user_id        VARBINARY(255),
    participant_id VARBINARY(255),
    question       TEXT, -- with Names::Keep only
    options        MEDIUMTEXT NOT NULL, -- a JSON list of [key, text]; the text is null without Names::Keep
    PRIMARY KEY (session_id, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Answers to polls, from POLL_ANSWER; the latest of each voter counts.
CREATE TABLE IF NOT EXISTS jaas_poll_answers (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    poll_id     VARBINARY(255) NOT NULL,
    voter       VARBINARY(255) NOT NULL, -- the address, or else the participantId, or else the user
    user_id     VARBINARY(255),
    ticked      MEDIUMTEXT NOT NULL, -- a JSON list of the keys of options
    PRIMARY KEY (session_id, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Reactions, from REACTIONS and, once more, from AGGREGATED_REACTIONS.
CREATE TABLE IF NOT EXISTS jaas_reactions (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    user_id     VARBINARY(255) NOT NULL, -- '' for guests
    reaction    VARBINARY(255) NOT NULL,
    amount      BIGINT NOT NULL,
    aggregated  SMALLINT NOT NULL, -- 1: from AGGREGATED_REACTIONS
    PRIMARY KEY (session_id, event_key, user_id, reaction)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Ratings and comments, from FEEDBACK.
CREATE TABLE IF NOT EXISTS jaas_feedback (
    session_id  VARBINARY(255) NOT NULL,
    event_key   VARBINARY(255) NOT NULL,
    happened_at BIGINT NOT NULL,
    user_id     VARBINARY(255),
    stars       SMALLINT, -- 1 to 5
    comments    MEDIUMTEXT, -- with Names::Keep only
    PRIMARY KEY (session_id, happened_at, event_key),
    KEY jaas_feedback_by_time (happened_at, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was said, from TRANSCRIPTION_CHUNK_RECEIVED; only if the application asks for it.
CREATE TABLE IF NOT EXISTS jaas_phrases (
    session_id     VARBINARY(255) NOT NULL,
    event_key      VARBINARY(255) NOT NULL,
    happened_at    BIGINT NOT NULL,
    message_id     VARBINARY(255) NOT NULL,
    participant_id VARBINARY(255),
    user_id        VARBINARY(255),
    name           TEXT, -- with Names::Keep only
    language       TEXT,
    said           MEDIUMTEXT NOT NULL,
    PRIMARY KEY (session_id, happened_at, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
