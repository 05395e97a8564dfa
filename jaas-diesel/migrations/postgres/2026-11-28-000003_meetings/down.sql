DROP TABLE IF EXISTS jaas_stays;
DROP TABLE IF EXISTS jaas_edges;
DROP TABLE IF EXISTS jaas_sittings;
