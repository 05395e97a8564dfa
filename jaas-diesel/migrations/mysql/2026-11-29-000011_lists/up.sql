-- Lists for operators read one page of an index. InnoDB has the id at the end of each index.
-- MySQL cannot make an index only if it is missing, as every statement here must be repeatable.
SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_attempts' AND index_name = 'jaas_attempts_by_outcome') = 0,
    'CREATE INDEX jaas_attempts_by_outcome ON jaas_attempts (outcome)', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_audit' AND index_name = 'jaas_audit_by_event') = 0,
    'CREATE INDEX jaas_audit_by_event ON jaas_audit (event_id)', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_conflicts' AND index_name = 'jaas_conflicts_by_key') = 0,
    'CREATE INDEX jaas_conflicts_by_key ON jaas_conflicts (endpoint, idempotency_key)', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
