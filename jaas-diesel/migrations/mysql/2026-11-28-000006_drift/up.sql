-- What JaaS sends and the application's version does not know. No value of an event is here.
CREATE TABLE IF NOT EXISTS jaas_drift (
    id         BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind       VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- type, field, json_type, word
    event_type VARBINARY(255) NOT NULL,
    field      VARBINARY(255) NOT NULL, -- '' for an event type
    detail     VARBINARY(64)  NOT NULL, -- the JSON type or the word; '' for an event type
    seen       BIGINT         NOT NULL, -- in how many events of the sample
    first_seen BIGINT         NOT NULL, -- ms since the epoch, like every time here
    last_seen  BIGINT         NOT NULL,
    example    BIGINT,        -- the row of an event that has it
    fixture    MEDIUMTEXT,    -- that event's body without its values
    UNIQUE KEY jaas_drift_by_thing (kind, event_type, field, detail),
    KEY jaas_drift_by_time (last_seen, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
