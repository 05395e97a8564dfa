DROP TABLE IF EXISTS jaas_gaps;
DROP TABLE IF EXISTS jaas_sightings;
DROP TABLE IF EXISTS jaas_watched;
