-- W3C trace context of the delivery: traceparent, and after a space tracestate. Only MariaDB can be told to add a column
-- unless it is there, and each statement must bear to be repeated.
SET @jaas_trace = (
    SELECT IF(COUNT(*) = 0,
              'ALTER TABLE jaas_events ADD COLUMN trace_context VARCHAR(568) CHARACTER SET ascii COLLATE ascii_bin',
              'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'jaas_events' AND column_name = 'trace_context'
);
PREPARE jaas_trace FROM @jaas_trace;
EXECUTE jaas_trace;
DEALLOCATE PREPARE jaas_trace;
