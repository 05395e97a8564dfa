-- When main rooms opened and closed: a row for each session of which either is known.
CREATE TABLE jaas_sittings (
    session_id     TEXT NOT NULL PRIMARY KEY,
    tenant         TEXT NOT NULL, -- lower case; '' when there is none
    room           TEXT NOT NULL, -- percent-decoded, lower case
    first_at       BIGINT NOT NULL, -- the earlier of its openings and closings; ms since the epoch, like every time here
    opened_at      BIGINT, -- its first opening
    last_opened_at BIGINT,
    last_closed_at BIGINT,
    ended_at       BIGINT, -- its last closing, unless it opened again after that
    due_at         BIGINT, -- when its end is to be announced
    told_at        BIGINT -- when its end was announced
);
CREATE INDEX jaas_sittings_by_room ON jaas_sittings (room, first_at, session_id);
CREATE INDEX jaas_sittings_by_time ON jaas_sittings (first_at, session_id);
CREATE INDEX jaas_sittings_due ON jaas_sittings (due_at) WHERE due_at IS NOT NULL;

-- What each event says about who came to or left a place, or which room opened or closed.
CREATE TABLE jaas_edges (
    session_id     TEXT NOT NULL,
    event_key      TEXT NOT NULL, -- the idempotencyKey
    happened_at    BIGINT NOT NULL,
    what           TEXT NOT NULL CHECK (what IN ('opened', 'closed', 'joined', 'left')),
    place          TEXT NOT NULL, -- main, lobby, or breakout:<id>
    presence       TEXT NOT NULL, -- the participantId, or else the bare address; '' for rooms
    via            TEXT NOT NULL, -- participant, visitor, dial_in, dial_out, sip_in, sip_out; '' for rooms
    reason         TEXT,
    user_id        TEXT,
    participant_id TEXT,
    jid            TEXT,
    name           TEXT, -- with Names::Keep only, like email and address
    email          TEXT,
    address        TEXT, -- phone number or SIP address
    PRIMARY KEY (session_id, presence, event_key)
);

-- One presence in one place, from one joining on.
CREATE TABLE jaas_stays (
    session_id     TEXT NOT NULL,
    presence       TEXT NOT NULL,
    place          TEXT NOT NULL,
    joined_at      BIGINT NOT NULL,
    left_at        BIGINT, -- NULL while they are there
    estimated      SMALLINT NOT NULL, -- 1: no leave was received, and left_at is when they can have left at the latest
    reason         TEXT,
    tenant         TEXT NOT NULL,
    room           TEXT NOT NULL,
    via            TEXT NOT NULL,
    user_id        TEXT,
    participant_id TEXT,
    jid            TEXT,
    name           TEXT,
    email          TEXT,
    address        TEXT,
    PRIMARY KEY (session_id, presence, place, joined_at)
);
CREATE INDEX jaas_stays_present ON jaas_stays (room, tenant) WHERE left_at IS NULL;
CREATE INDEX jaas_stays_by_user ON jaas_stays (user_id, joined_at) WHERE user_id IS NOT NULL;

-- Moments of meetings: recordings, live streams, files. The rows of this table and the next ones belong to the event
-- with the key, and are never changed.
CREATE TABLE jaas_marks (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    kind        TEXT NOT NULL, -- the eventType
    PRIMARY KEY (session_id, event_key)
);

-- Devices that USAGE counts.
CREATE TABLE jaas_devices (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    device      TEXT NOT NULL, -- the deviceId, hashed with the application's key
    tenant      TEXT NOT NULL, -- lower case; '' when there is none
    month       INTEGER NOT NULL, -- of happened_at in UTC, such as 202611
    PRIMARY KEY (session_id, event_key, device)
);
CREATE INDEX jaas_devices_by_month ON jaas_devices (tenant, month, device);

-- How long each connection spoke, from SPEAKER_STATS.
CREATE TABLE jaas_talk (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    jid         TEXT NOT NULL, -- the full address
    user_id     TEXT,
    talked_ms   BIGINT NOT NULL,
    PRIMARY KEY (session_id, event_key, jid)
);

-- Polls, from POLL_CREATED.
CREATE TABLE jaas_polls (
    session_id     TEXT NOT NULL,
    event_key      TEXT NOT NULL,
    happened_at    BIGINT NOT NULL,
    poll_id        TEXT NOT NULL,
    user_id        TEXT,
    participant_id TEXT,
    question       TEXT, -- with Names::Keep only
    options        TEXT NOT NULL, -- a JSON list of [key, text]; the text is null without Names::Keep
    PRIMARY KEY (session_id, event_key)
);

-- Answers to polls, from POLL_ANSWER; the latest of each voter counts.
CREATE TABLE jaas_poll_answers (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    poll_id     TEXT NOT NULL,
    voter       TEXT NOT NULL, -- the address, or else the participantId, or else the user
    user_id     TEXT,
    ticked      TEXT NOT NULL, -- a JSON list of the keys of options
    PRIMARY KEY (session_id, event_key)
);

-- Reactions, from REACTIONS and, once more, from AGGREGATED_REACTIONS.
CREATE TABLE jaas_reactions (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    user_id     TEXT NOT NULL, -- '' for guests
    reaction    TEXT NOT NULL,
    amount      BIGINT NOT NULL,
    aggregated  SMALLINT NOT NULL, -- 1: from AGGREGATED_REACTIONS
    PRIMARY KEY (session_id, event_key, user_id, reaction)
);

-- Ratings and comments, from FEEDBACK.
CREATE TABLE jaas_feedback (
    session_id  TEXT NOT NULL,
    event_key   TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    user_id     TEXT,
    stars       SMALLINT, -- 1 to 5
    comments    TEXT, -- with Names::Keep only
    PRIMARY KEY (session_id, happened_at, event_key)
);
CREATE INDEX jaas_feedback_by_time ON jaas_feedback (happened_at, event_key);

-- What was said, from TRANSCRIPTION_CHUNK_RECEIVED; only if the application asks for it.
CREATE TABLE jaas_phrases (
    session_id     TEXT NOT NULL,
    event_key      TEXT NOT NULL,
    happened_at    BIGINT NOT NULL,
    message_id     TEXT NOT NULL,
    participant_id TEXT,
    user_id        TEXT,
    name           TEXT, -- with Names::Keep only
    language       TEXT,
    said           TEXT NOT NULL,
    PRIMARY KEY (session_id, happened_at, event_key)
);
