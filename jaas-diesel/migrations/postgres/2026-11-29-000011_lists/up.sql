-- Lists for operators read one page of an index.
DROP INDEX jaas_attempts_by_event;
CREATE INDEX jaas_attempts_by_event ON jaas_attempts (event_id, id);
CREATE INDEX jaas_attempts_by_outcome ON jaas_attempts (outcome, id);
CREATE INDEX jaas_audit_by_event ON jaas_audit (event_id, id);
CREATE INDEX jaas_conflicts_by_key ON jaas_conflicts (endpoint, idempotency_key, id);
