DROP TABLE jaas_audit;
DROP TABLE jaas_attempts;
DROP TABLE jaas_quarantine;
DROP TABLE jaas_conflicts;
DROP TABLE jaas_events;
