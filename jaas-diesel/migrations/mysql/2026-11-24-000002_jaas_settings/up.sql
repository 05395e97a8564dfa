-- What meetings start with. The row with neither tenant nor room is the default.
CREATE TABLE IF NOT EXISTS jaas_settings (
    id       BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant   VARBINARY(255) NOT NULL, -- lower case; '' for any
    room     VARBINARY(255) NOT NULL, -- percent-decoded, lower case
    fqn      VARBINARY(768) NOT NULL, -- as it was given
    settings MEDIUMTEXT     NOT NULL, -- JSON
    UNIQUE KEY jaas_settings_by_room (room, tenant)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was answered, from which source, and why.
CREATE TABLE IF NOT EXISTS jaas_settings_records (
    id          BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint    VARBINARY(255) NOT NULL,
    tenant      VARBINARY(255) NOT NULL,
    room        VARBINARY(255) NOT NULL,
    fqn         VARBINARY(768) NOT NULL,
    received_at BIGINT         NOT NULL, -- ms since the epoch
    took_us     BIGINT         NOT NULL,
    source      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    failure     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    error       TEXT,
    decided_by  TEXT,
    answer      MEDIUMTEXT     NOT NULL, -- JSON without passcode and phone number
    KEY jaas_settings_records_by_room (room, received_at),
    KEY jaas_settings_records_by_time (received_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
