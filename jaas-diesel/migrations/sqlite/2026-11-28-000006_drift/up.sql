-- What JaaS sends and the application's version does not know. No value of an event is here.
CREATE TABLE jaas_drift (
    id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    kind       TEXT   NOT NULL, -- type, field, json_type, word
    event_type TEXT   NOT NULL,
    field      TEXT   NOT NULL, -- '' for an event type
    detail     TEXT   NOT NULL, -- the JSON type or the word; '' for an event type
    seen       BIGINT NOT NULL, -- in how many events of the sample
    first_seen BIGINT NOT NULL, -- ms since the epoch, like every time here
    last_seen  BIGINT NOT NULL,
    example    BIGINT, -- the row of an event that has it
    fixture    TEXT,   -- that event's body without its values
    UNIQUE (kind, event_type, field, detail)
);
CREATE INDEX jaas_drift_by_time ON jaas_drift (last_seen, id);
