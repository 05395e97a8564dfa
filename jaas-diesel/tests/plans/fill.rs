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

/// The statements that fill an empty inbox. The text is the same for each database.
pub(crate) fn statements() -> Vec<String> {
    // All numbers of so many digits.
    let numbers = |digits: usize| {
        let terms: Vec<String> = (0..digits).map(|n| format!("d{n}.d * {}", 10_i64.pow(n as u32))).collect();
        let tables: Vec<String> = (0..digits).map(|n| format!("plan_digits d{n}")).collect();
        format!("(SELECT {} AS n FROM {}) numbers", terms.join(" + "), tables.join(" CROSS JOIN "))
    };
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
             'ignored' WHEN n % 100 = 1 THEN 'dead' WHEN n % 100 = 2 THEN 'discarded' ELSE 'done' END, \
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
