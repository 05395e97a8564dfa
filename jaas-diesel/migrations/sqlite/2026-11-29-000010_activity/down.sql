DROP TABLE IF EXISTS jaas_activity;
