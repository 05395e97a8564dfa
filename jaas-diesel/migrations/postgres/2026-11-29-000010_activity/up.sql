-- What had happened up to a moment of each minute, for charts: the differences of two rows count. Made of jaas_counts, and
-- kept for two days.
CREATE TABLE jaas_activity (
    minute   BIGINT NOT NULL PRIMARY KEY, -- since the epoch
    taken_at BIGINT NOT NULL, -- ms since the epoch
    accepted BIGINT NOT NULL,
    settled  BIGINT NOT NULL, -- done or ignored
    failed   BIGINT NOT NULL, -- runs
    dead     BIGINT NOT NULL,
    waiting  BIGINT NOT NULL  -- wait or run at that moment
);
