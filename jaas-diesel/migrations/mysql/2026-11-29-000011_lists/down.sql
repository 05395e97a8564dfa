SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_conflicts' AND index_name = 'jaas_conflicts_by_key') > 0,
    'DROP INDEX jaas_conflicts_by_key ON jaas_conflicts', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_audit' AND index_name = 'jaas_audit_by_event') > 0,
    'DROP INDEX jaas_audit_by_event ON jaas_audit', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
SET @jaas_sql = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'jaas_attempts' AND index_name = 'jaas_attempts_by_outcome') > 0,
    'DROP INDEX jaas_attempts_by_outcome ON jaas_attempts', 'DO 0');
PREPARE jaas_statement FROM @jaas_sql;
EXECUTE jaas_statement;
DEALLOCATE PREPARE jaas_statement;
