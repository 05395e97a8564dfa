-- What meetings start with. The row with neither tenant nor room is the default.
CREATE TABLE jaas_settings (
    id       BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant   TEXT    NOT NULL, -- lower case; '' for any
    room     TEXT    NOT NULL, -- percent-decoded, lower case
    fqn      TEXT    NOT NULL, -- as it was given
    settings TEXT    NOT NULL, -- JSON
    UNIQUE (room, tenant)
);

-- What was answered, from which source, and why.
CREATE TABLE jaas_settings_records (
    id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
CREATE INDEX jaas_settings_records_by_room ON jaas_settings_records (room, received_at);
CREATE INDEX jaas_settings_records_by_time ON jaas_settings_records (received_at, id);
