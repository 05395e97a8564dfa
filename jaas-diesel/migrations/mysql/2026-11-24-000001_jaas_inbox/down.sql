DROP TABLE IF EXISTS jaas_audit;
DROP TABLE IF EXISTS jaas_attempts;
DROP TABLE IF EXISTS jaas_quarantine;
DROP TABLE IF EXISTS jaas_conflicts;
DROP TABLE IF EXISTS jaas_events;
