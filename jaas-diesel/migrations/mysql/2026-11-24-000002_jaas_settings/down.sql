DROP TABLE IF EXISTS jaas_settings_records;
DROP TABLE IF EXISTS jaas_settings;
