//! A month of events and what belongs to them. Events are numbered from 1, and the number is the row.
//!
//! Twenty events make a session: an opening, joinings and leavings, and a closing. Of a thousand events, 10 are dead letters, in
//! 13 groups, 5 are discarded, and 100 were ignored; the newest thousandth waits.

use jaas_core::{Clock as _, SystemClock};

use crate::database::Dialect;

/// How many events a session has.
pub(crate) const SESSION: i64 = 20;
/// How many stays the largest meeting has.
const LARGE: i64 = 300;
pub(crate) const LARGE_SESSION: &str = "large";

pub(crate) const TABLES: &[&str] = &[
    "jaas_events",
    "jaas_queues",
    "jaas_counts",
    "jaas_attempts",
    "jaas_audit",
    "jaas_conflicts",
    "jaas_quarantine",
    "jaas_settings_records",
    "jaas_artifacts",
    "jaas_sittings",
    "jaas_stays",
    "jaas_marks",
    "jaas_watched",
    "jaas_gaps",
    "jaas_activity",
];

/// A store with so many events.
pub(crate) struct Filled {
    pub(crate) events: i64,
    /// Now, in ms.
    pub(crate) now: i64,
}

impl Filled {
    pub(crate) fn of(events: i64) -> Self {
        assert!(events >= 40_000, "fewer events than 40,000 are not enough for a different one for each act");
        Self { events, now: SystemClock.now().as_millis() }
    }

    /// An event that is done.
    pub(crate) fn done(&self, number: i64) -> i64 {
        // 0 in hundreds, so neither ignored, dead nor discarded.
        100 * (1 + number % (self.events / 200))
    }

    /// A dead letter.
    pub(crate) fn dead(&self, number: i64) -> i64 {
        100 * (number % (self.events / 200)) + 7
    }

    /// The session of this event.
    pub(crate) fn session(&self, event: i64) -> String {
        format!("session-{}", event - event % SESSION)
    }

    /// When this event occurred, as SQL or as a number.
    pub(crate) fn at(&self, event: &str) -> String {
        format!("({} - ({} - {event}) * {})", self.now, self.events, self.step())
    }

    /// How many ms are between two events, so that all are of one month.
    pub(crate) fn step(&self) -> i64 {
        (30 * 24 * 60 * 60 * 1000) / self.events
    }

    /// The statements that fill an empty database.
    pub(crate) fn statements(&self, dialect: Dialect) -> Vec<String> {
        let mut statements = vec![
            "CREATE TABLE bench_numbers (n BIGINT PRIMARY KEY)".to_owned(),
            dialect.numbers("bench_numbers", self.events),
            self.fill_events(dialect),
            "INSERT INTO jaas_queues (ordering_key, due_at, head_place) \
             SELECT ordering_key, MIN(due_at), MIN(place) FROM jaas_events WHERE state = 'waiting' GROUP BY ordering_key"
                .to_owned(),
            "INSERT INTO jaas_counts (name, slot, amount) SELECT state, 0, COUNT(*) FROM jaas_events GROUP BY state"
                .to_owned(),
        ];
        statements.extend(self.of_operators(dialect));
        statements.extend(self.of_meetings());
        statements.push("DROP TABLE bench_numbers".to_owned());
        statements
    }

    fn fill_events(&self, dialect: Dialect) -> String {
        let (at, newest) = (self.at("n"), self.events - self.events / 1000);
        let body = dialect.bytes(
            "concat('{\"idempotencyKey\":\"key-', n, '\",\"eventType\":\"PARTICIPANT_JOINED\",\"sessionId\":\"session-', \
             n - n % 20, '\",\"timestamp\":1795420800000,\"fqn\":\"vpaas-magic-cookie-1/room\",\"data\":{\"participantId\":\
             \"3988218d\",\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\",\"moderator\":\"true\",\"id\":\"user-1\",\
             \"avatar\":\"https://example.com/a.png\",\"participantJid\":\"2c5d3a30@8x8.vc\",\
             \"participantFullJid\":\"2c5d3a30@8x8.vc/3988218d\"}}')",
        );
        let hash = dialect.hash("n");
        format!(
            "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, ordering_key, occurred_at, \
             received_at, body, body_hash, state, failures, completed, due_at, place, fence, settled_at, note) \
             SELECT 'main', concat('key-', n), CASE WHEN n % 20 = 0 THEN 'ROOM_CREATED' WHEN n % 20 = 19 THEN \
             'ROOM_DESTROYED' WHEN n % 20 = 13 THEN 'RECORDING_UPLOADED' WHEN n % 2 = 1 THEN 'PARTICIPANT_JOINED' ELSE \
             'PARTICIPANT_LEFT' END, concat('session-', n - n % 20), \
             concat('vpaas-magic-cookie-1/room', (n - n % 20) % 100000), concat('ssession-', n - n % 20), {at}, {at}, {body}, \
             {hash}, CASE WHEN n > {newest} THEN 'waiting' WHEN n % 100 = 7 THEN 'dead' WHEN n % 200 = 11 THEN 'discarded' \
             WHEN n % 10 = 3 THEN 'ignored' ELSE 'done' END, CASE WHEN n % 100 = 7 THEN 3 ELSE 0 END, \
             CASE WHEN n > {newest} THEN '' ELSE 'meetings\n' END, {at}, {at}, 1, \
             CASE WHEN n > {newest} THEN NULL ELSE {at} END, \
             CASE WHEN n > {newest} THEN NULL WHEN n % 100 = 7 THEN concat('no row for room ', (n - 7) % 1300) \
             WHEN n % 10 = 3 THEN 'of no interest' ELSE NULL END \
             FROM bench_numbers ORDER BY n"
        )
    }

    fn of_operators(&self, dialect: Dialect) -> Vec<String> {
        let (at, now, hash) = (self.at("n"), self.now, dialect.hash("n"));
        let body = dialect.bytes("'{\"idempotencyKey\":\"key\",\"data\":{\"name\":\"Ada\"}}'");
        let from = "FROM bench_numbers WHERE";
        vec![
            format!(
                "INSERT INTO jaas_attempts (event_id, fence, worker, outcome, error, ended_at) \
                 SELECT e.n, i.n, 'web-1', 'failed', concat('no row for room ', (e.n - 7) % 1300), {} \
                 FROM bench_numbers e CROSS JOIN bench_numbers i WHERE e.n % 100 = 7 AND i.n <= 3 ORDER BY e.n, i.n",
                self.at("e.n")
            ),
            format!(
                "INSERT INTO jaas_audit (event_id, endpoint, idempotency_key, action, actor, reason, acted_at) \
                 SELECT n, 'main', concat('key-', n), 'replayed', 'ada', 'the table was filled', {at} {from} n % 500 = 100 ORDER BY n"
            ),
            format!(
                "INSERT INTO jaas_conflicts (endpoint, idempotency_key, body, body_hash, first_received_at, last_received_at) \
                 SELECT 'main', concat('key-', n), {body}, {hash}, {at}, {at} {from} n % 1000 = 0 ORDER BY n"
            ),
            format!(
                "INSERT INTO jaas_quarantine (endpoint, body, body_hash, reason, first_received_at, last_received_at) \
                 SELECT 'main', {}, {hash}, 'the body is not JSON', {at}, {at} {from} n % 2000 = 0 ORDER BY n",
                dialect.bytes("'{\"eventType\": \"PARTI'")
            ),
            format!(
                "INSERT INTO jaas_settings_records (endpoint, tenant, room, fqn, received_at, took_us, source, answer) \
                 SELECT 'settings', 'vpaas-magic-cookie-1', concat('room', n % 100000), \
                 concat('vpaas-magic-cookie-1/room', n % 100000), {at}, 12000, 'provider', '{{\"lobbyEnabled\":true}}' \
                 {from} n % 20 = 0 ORDER BY n"
            ),
            format!(
                "INSERT INTO jaas_artifacts (event_id, slot, kind, session_id, deadline, phase, outcome, due_at, object, bytes, \
                 settled_at) SELECT n, 'preAuthenticatedLink', 'recording', concat('session-', n - n % 20), {at} + 86400000, \
                 CASE WHEN n > {open} THEN 1 ELSE 3 END, CASE WHEN n > {open} THEN NULL ELSE 'stored' END, {now} + 3600000, \
                 CASE WHEN n > {open} THEN NULL ELSE 'recordings/1.mp4' END, CASE WHEN n > {open} THEN NULL ELSE 100000000 END, \
                 CASE WHEN n > {open} THEN NULL ELSE {at} END {from} n % 20 = 13 ORDER BY n",
                open = self.events - self.events / 50
            ),
            format!(
                "INSERT INTO jaas_activity (minute, taken_at, accepted, settled, failed, dead, waiting) \
                 SELECT {minute} - n, {now} - n * 60000, 1000000 - n * 23, 990000 - n * 23, 30000 - n, 10000 - n, n % 50 \
                 {from} n <= 2880",
                minute = now / 60_000
            ),
            format!(
                "INSERT INTO jaas_watched (session_id, fqn, last_seen_at, version, due_at, open_gaps) \
                 SELECT concat('session-', n), concat('vpaas-magic-cookie-1/room', n % 100000), {at}, 1, NULL, 0 {from} n % 20 = 0"
            ),
            format!(
                "INSERT INTO jaas_gaps (session_id, rule, subject, tenant, room, fqn, seen_at, due_at, found_at, state, closed_at) \
                 SELECT concat('session-', n), CASE WHEN n % 200 = 0 THEN 'recording_not_uploaded' ELSE 'stay_not_left' END, \
                 'subject', 'vpaas-magic-cookie-1', concat('room', n % 100000), concat('vpaas-magic-cookie-1/room', n % 100000), \
                 {at}, {at}, {at}, CASE WHEN n % 500 = 0 THEN 'open' ELSE 'closed' END, \
                 CASE WHEN n % 500 = 0 THEN NULL ELSE {at} END {from} n % 100 = 0 ORDER BY n"
            ),
        ]
    }

    /// A sitting for each session, with its stays and a recording, and a sitting with many people.
    fn of_meetings(&self) -> Vec<String> {
        let (at, step) = (self.at("n"), self.step());
        let sitting = format!("{at}, {at}, {at}, {at} + 20 * {step}, {at} + 20 * {step}, {at}");
        let columns = "INSERT INTO jaas_sittings (session_id, tenant, room, first_at, opened_at, last_opened_at, last_closed_at, \
                       ended_at, told_at) SELECT";
        let stay = "'vpaas-magic-cookie-1'";
        let stays = "INSERT INTO jaas_stays (session_id, presence, place, joined_at, left_at, estimated, tenant, room, via, \
                     user_id, participant_id, name) SELECT";
        let who = "'participant', concat('user-', n), concat('p', n), 'Ada Lovelace'";
        vec![
            format!(
                "{columns} concat('session-', n), {stay}, concat('room', n % 100000), {sitting} FROM bench_numbers WHERE n % 20 = 0"
            ),
            format!(
                "{columns} '{LARGE_SESSION}', {stay}, 'large', {sitting} FROM bench_numbers WHERE n = {}",
                self.events
            ),
            format!(
                "{stays} concat('session-', n - n % 20), concat('p', n), 'main', {at}, {at} + {step}, 0, {stay}, \
                 concat('room', (n - n % 20) % 100000), {who} FROM bench_numbers WHERE n % 4 = 1"
            ),
            format!(
                "{stays} '{LARGE_SESSION}', concat('p', n), 'main', {at}, {at} + {step}, 0, {stay}, 'large', {who} \
                 FROM bench_numbers WHERE n <= {LARGE}"
            ),
            format!(
                "INSERT INTO jaas_marks (session_id, event_key, happened_at, kind) SELECT concat('session-', n - n % 20), \
                 concat('key-', n), {at}, 'RECORDING_UPLOADED' FROM bench_numbers WHERE n % 20 = 13"
            ),
        ]
    }
}
