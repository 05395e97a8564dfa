SET @jaas_trace = (
    SELECT IF(COUNT(*) > 0, 'ALTER TABLE jaas_events DROP COLUMN trace_context', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'jaas_events' AND column_name = 'trace_context'
);
PREPARE jaas_trace FROM @jaas_trace;
EXECUTE jaas_trace;
DEALLOCATE PREPARE jaas_trace;
