ALTER TABLE jaas_events DROP COLUMN trace_context;
