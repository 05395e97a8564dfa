//! An inbox with many old rows, which the statements must not read.

/// How many events of one session wait.
pub(crate) const LONG: i64 = 5_000;
/// How many other sessions have a waiting event.
pub(crate) const OTHERS: i64 = 2_000;
/// How many sessions wait out a back-off.
pub(crate) const LATER: i64 = 2_000;

/// The session with many waiting and many settled events.
pub(crate) const LONG_SESSION: &str = "long";
/// Its queue comes first.
pub(crate) const PUT_LONG_FIRST: &str = "UPDATE jaas_queues SET due_at = 1 WHERE ordering_key = 'slong'";

/// How many rows of each kind operators have caused.
const HISTORY_DIGITS: usize = 4;

/// How many files wait or are being fetched.
const OPEN: i64 = 1_000;

/// The statements that fill the tables for operators of a filled inbox.
pub(crate) fn histories() -> Vec<String> {
    let numbers = numbers(HISTORY_DIGITS);
    let inserts = [
        "INSERT INTO jaas_attempts (event_id, fence, outcome, ended_at) SELECT n % 1000, 1, \
         CASE WHEN n % 5000 = 0 THEN 'interrupted' ELSE 'failed' END, n",
        "INSERT INTO jaas_audit (event_id, endpoint, idempotency_key, action, actor, reason, acted_at) \
         SELECT n % 1000, 'main', concat('settled', n), 'replayed', 'operator', 'why', n",
        "INSERT INTO jaas_conflicts (endpoint, idempotency_key, body, body_hash, first_received_at, last_received_at) \
         SELECT 'main', concat('settled', n), '{}', 'other', n, n",
        "INSERT INTO jaas_quarantine (endpoint, body, body_hash, reason, first_received_at, last_received_at) \
         SELECT concat('endpoint', n), '{}', 'hash', 'no key', n, n",
        "INSERT INTO jaas_settings_records (endpoint, tenant, room, fqn, received_at, took_us, source, answer) \
         SELECT 'main', 'tenant', concat('room', n % 50), 'tenant/room', n, 1, 'provider', '{}'",
        "INSERT INTO jaas_artifacts (event_id, slot, kind, deadline, phase, outcome, due_at, settled_at) \
         SELECT n, 'link', 'recording', n, 3, 'stored', n, n",
        // Those that wait or run, of events that are not there any more, so that what operators do ends none of them.
        "INSERT INTO jaas_artifacts (event_id, slot, kind, deadline, phase, outcome, due_at, settled_at) \
         SELECT 9000000 + n, 'link', 'recording', 9000000000000 + n, n % 3, NULL, 9000000000000 + n, NULL",
    ];
    let filled = inserts.iter().map(|insert| {
        let few = if insert.contains("NULL") { format!(" WHERE n < {OPEN}") } else { String::new() };
        format!("{insert} FROM {numbers}{few} ORDER BY n")
    });
    let counts = ["conflict", "quarantined"].map(|name| {
        format!(
            "INSERT INTO jaas_counts (name, slot, amount) VALUES ('{name}', 9, {})",
            10_i64.pow(HISTORY_DIGITS as u32)
        )
    });
    filled.chain(counts).collect()
}

/// All numbers of so many digits.
fn numbers(digits: usize) -> String {
    let terms: Vec<String> = (0..digits).map(|n| format!("d{n}.d * {}", 10_i64.pow(n as u32))).collect();
    let tables: Vec<String> = (0..digits).map(|n| format!("plan_digits d{n}")).collect();
    format!("(SELECT {} AS n FROM {}) numbers", terms.join(" + "), tables.join(" CROSS JOIN "))
}

/// The statements that fill an empty inbox. The text is the same for each database.
pub(crate) fn statements() -> Vec<String> {
    let events = "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, fqn, body, body_hash, completed, session_id, \
                  ordering_key, state, occurred_at, received_at, due_at, place, fence, settled_at) \
                  SELECT 'main', concat";
    let same = "'PARTICIPANT_JOINED', concat('app/room', n % 50), '{}', 'hash'";
    let session = "CASE WHEN n % 10 = 3 THEN 'long' ELSE concat('settled', n % 1000) END";
    let mut statements = vec![
        "CREATE TABLE plan_digits (d BIGINT PRIMARY KEY)".into(),
        "INSERT INTO plan_digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)".into(),
        format!(
            "{events}('settled', n), {same}, 'handler', {session}, concat('s', {session}), CASE WHEN n % 10 = 0 THEN \
             'ignored' WHEN n % 100 IN (1, 51) THEN 'dead' WHEN n % 100 = 2 THEN 'discarded' ELSE 'done' END, \
             n, n, n, n, 1, n FROM {} ORDER BY n",
            numbers(5)
        ),
        format!(
            "{events}('long', n), {same}, '', 'long', 'slong', 'waiting', 200000 + n, 200000 + n, 200000 + n, 200000 + n, \
             0, NULL FROM {} WHERE n < {LONG} ORDER BY n",
            numbers(4)
        ),
        format!(
            "{events}('other', n), {same}, '', concat('other', n), concat('sother', n), 'waiting', 300000 + n, 300000 + n, \
             300000 + n, 300000 + n, 0, NULL FROM {} WHERE n < {OTHERS} ORDER BY n",
            numbers(4)
        ),
        format!(
            "{events}('later', n), {same}, '', concat('later', n), concat('slater', n), 'waiting', 400000 + n, 400000 + n, \
             9000000000000 + n, 400000 + n, 0, NULL FROM {} WHERE n < {LATER} ORDER BY n",
            numbers(4)
        ),
        "INSERT INTO jaas_queues (ordering_key, due_at, head_place) \
         SELECT ordering_key, MIN(due_at), MIN(place) FROM jaas_events WHERE state = 'waiting' GROUP BY ordering_key"
            .into(),
        "INSERT INTO jaas_counts (name, slot, amount) SELECT state, 0, COUNT(*) FROM jaas_events GROUP BY state".into(),
    ];
    statements.extend(crate::watching::statements());
    statements
}
