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
    PRIMARY KEY (session_id, event_key)
);
CREATE INDEX jaas_edges_by_presence ON jaas_edges (session_id, presence);

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
