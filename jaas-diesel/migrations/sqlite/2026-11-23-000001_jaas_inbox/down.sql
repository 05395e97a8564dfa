DROP TABLE jaas_quarantine;
DROP TABLE jaas_conflicts;
DROP TABLE jaas_events;
