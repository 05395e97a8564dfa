DROP TABLE jaas_settings_records;
DROP TABLE jaas_settings;
