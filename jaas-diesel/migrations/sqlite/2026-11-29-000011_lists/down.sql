DROP INDEX jaas_conflicts_by_key;
DROP INDEX jaas_audit_by_event;
DROP INDEX jaas_attempts_by_outcome;
DROP INDEX jaas_attempts_by_event;
CREATE INDEX jaas_attempts_by_event ON jaas_attempts (event_id);
