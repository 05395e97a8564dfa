DROP TABLE IF EXISTS jaas_artifacts;
