//! The statements on the tables of meetings: what the handler sends, what the tables are asked, the announcer's and an erasure.

use std::time::Duration;

use async_trait::async_trait;
use diesel_async::AsyncConnection;
use jaas_core::meetings::{DeviceKey, Sitting, TimePageRequest};
use jaas_core::{
    AppId, Context, Delivery, EventHandler as _, Fqn, HandlerError, SessionId, Timestamp, UserId,
};
use jaas_diesel::meetings::{MeetingEnded, Meetings, MeetingsConnection, SittingsQuery};
use serde_json::{Value, json};

use crate::calls::Meter;

/// The tables that are filled.
pub(crate) const TABLES: [&str; 11] = [
    "jaas_sittings",
    "jaas_edges",
    "jaas_stays",
    "jaas_marks",
    "jaas_devices",
    "jaas_talk",
    "jaas_polls",
    "jaas_poll_answers",
    "jaas_reactions",
    "jaas_feedback",
    "jaas_phrases",
];

/// Whether SQLite reads the rows of one session or presence, those of a room, a user or a month in order, or what is due.
pub(crate) fn is_sought(sql: &str, detail: &str) -> bool {
    const OF_A_SESSION: [&str; 4] = [
        "USING PRIMARY KEY (session_id=? AND presence=?)",
        "USING PRIMARY KEY (session_id=? AND happened_at<?)",
        "USING PRIMARY KEY (session_id=? AND happened_at>? AND happened_at<?)",
        "USING PRIMARY KEY (session_id=? AND happened_at>?)",
    ];
    const IN_ORDER: [&str; 4] = [
        "jaas_sittings USING INDEX jaas_sittings_by_room (room=? AND first_at>? AND first_at<?)",
        "jaas_sittings USING INDEX jaas_sittings_by_time (first_at<?)",
        "jaas_sittings USING COVERING INDEX jaas_sittings_due (due_at<?)",
        "jaas_stays USING INDEX jaas_stays_by_user (user_id=? AND joined_at>? AND joined_at<?)",
    ];
    if detail.contains("TEMP B-TREE") {
        return detail.contains("count(DISTINCT)");
    }
    // A presence must not read the edges of all.
    let is_whole = detail.ends_with("USING PRIMARY KEY (session_id=?)")
        && !(sql.starts_with("SELECT") && detail.contains("jaas_edges"));
    let of_all = sql.contains("LIMIT") && !sql.contains("`session_id` = ");
    detail.ends_with("CONSTANT ROWS")
        || is_whole
        || OF_A_SESSION.iter().any(|key| detail.ends_with(key))
        || detail.ends_with("jaas_stays_present (room=? AND tenant=?)")
        || detail.ends_with("jaas_devices_by_month (tenant=? AND month<?)")
        || (sql.contains("LIMIT") && IN_ORDER.iter().any(|index| detail.ends_with(index)))
        || (of_all && detail.contains("jaas_feedback USING INDEX jaas_feedback_by_time"))
}

/// The session in which ten thousand have joined.
const LONG: &str = "long meeting";
/// How many stays, and rows of each other kind, the other sessions have.
const EACH: usize = 10;

/// The statements that fill the tables with ten thousand sessions and a long one: the rooms have a hundred sessions each, the
/// room `long` has ten thousand, and in `room7` ten people are present.
pub(crate) fn statements() -> Vec<String> {
    let numbers = |digits: usize| {
        let terms: Vec<String> = (0..digits).map(|n| format!("d{n}.d * {}", 10_i64.pow(n as u32))).collect();
        let tables: Vec<String> = (0..digits).map(|n| format!("plan_digits d{n}")).collect();
        format!("(SELECT {} AS n FROM {}) numbers", terms.join(" + "), tables.join(" CROSS JOIN "))
    };
    let (ten, many, most) = (numbers(1), numbers(4), numbers(5));
    let sittings = "INSERT INTO jaas_sittings (session_id, tenant, room, first_at, opened_at, ended_at, due_at) SELECT concat";
    let edges =
        "INSERT INTO jaas_edges (session_id, event_key, happened_at, what, place, presence, via) SELECT";
    let stays = "INSERT INTO jaas_stays (session_id, presence, place, joined_at, left_at, estimated, tenant, room, via, user_id) \
                 SELECT";
    let user = "concat('u', n % 1000)";
    let mut all = vec![
        format!("{sittings}('m', n), 'app', concat('room', n % 100), n, n, n, 9000000000000 + n FROM {many}"),
        format!("{sittings}('l', n), 'app', 'long', n, n, n, NULL FROM {many}"),
        format!("{edges} concat('m', n), concat('o', n), n, 'opened', 'main', '', '' FROM {many}"),
        format!(
            "{stays} 'm9907', concat('here', n), 'main', n, NULL, 0, 'app', 'room7', 'participant', {user} FROM {ten}"
        ),
    ];
    // It is open, and the newest of its room.
    all.push("UPDATE jaas_sittings SET ended_at = NULL WHERE session_id = 'm9907'".into());
    for (session, numbers) in [("concat('m', n % 10000)", &most), ("'long meeting'", &many)] {
        let key = "concat('k', n)";
        all.push(format!(
            "{edges} {session}, {key}, n, 'joined', 'main', concat('p', n), 'participant' FROM {numbers}"
        ));
        all.push(format!(
            "{stays} {session}, concat('p', n), 'main', n, n, 0, 'app', concat('room', n % 100), 'participant', {user} \
             FROM {numbers}"
        ));
        for (table, more) in [
            ("jaas_marks (session_id, event_key, happened_at, kind)", "'FILE'"),
            ("jaas_talk (session_id, event_key, happened_at, jid, talked_ms)", "'jid', 5"),
            ("jaas_polls (session_id, event_key, happened_at, poll_id, options)", "'poll', '[]'"),
            (
                "jaas_poll_answers (session_id, event_key, happened_at, poll_id, voter, ticked)",
                "'poll', 'v', '[]'",
            ),
            (
                "jaas_reactions (session_id, event_key, happened_at, user_id, reaction, amount, aggregated)",
                "'u', 'like', 1, 0",
            ),
            ("jaas_feedback (session_id, event_key, happened_at, stars)", "5"),
            ("jaas_phrases (session_id, event_key, happened_at, message_id, said)", "'m', 'said'"),
        ] {
            all.push(format!("INSERT INTO {table} SELECT {session}, {key}, n, {more} FROM {numbers}"));
        }
    }
    // A hundred tenants with a hundred devices in each of ten months.
    all.push(format!(
        "INSERT INTO jaas_devices (session_id, event_key, happened_at, device, tenant, month) \
         SELECT concat('m', n % 10000), concat('k', n), n, concat('d', n), concat('tenant', n % 100), \
         202601 + (n - n % 10000) / 10000 FROM {most}"
    ));
    all
}

struct Nothing;

#[async_trait]
impl<C: Send> MeetingEnded<C> for Nothing {
    async fn meeting_ended(&self, _: &mut C, _: &Sitting) -> Result<(), HandlerError> {
        Ok(())
    }
}

fn event(session: &str, kind: &str, key: &str, data: &Value) -> Delivery {
    let body = json!({
        "idempotencyKey": key, "eventType": kind, "sessionId": session, "fqn": "app/new", "timestamp": 200_000, "data": data,
    });
    Delivery::parse("main", Timestamp::from_millis(200_000), body.to_string().into()).expect("an envelope")
}

/// What one presence, and the rooms of its session, can have of rows: each round opens and closes the room once more.
const FEW: usize = 8;

/// Sends every statement, on connections to this address. Afterwards the tables are as before, except for a few rows.
pub(crate) async fn meetings<C>(address: &str, setup: &str, meter: &mut impl Meter, round: &str)
where
    C: MeetingsConnection + AsyncConnection,
{
    let key = DeviceKey::new("0123456789abcdef").expect("long enough");
    let meetings = Meetings::builder().devices(key).phrases(true).build().expect("built");
    let mut connection = C::establish(address).await.expect("connected");
    connection.batch_execute(setup).await.expect(setup);
    meter.read_lists();
    handling(&meetings, &mut connection, meter, round).await;
    asking(&meetings, &mut connection, meter).await;
    of_a_session(&meetings, &mut connection, meter).await;
    announcing::<C>(&meetings, address, meter).await;
    let gone = SessionId::new(format!("m{}", 100 + round.len()));
    meter.call("erase a meeting", 12 * EACH, meetings.erase(&mut connection, &gone)).await;
    let found = meter.failures();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

async fn handling<C>(meetings: &Meetings, connection: &mut C, meter: &mut impl Meter, round: &str)
where
    C: MeetingsConnection,
{
    let who = |who: &str| json!({"participantId": who, "id": "u1", "name": "U"});
    let options = json!([{"key": 0, "name": "yes"}]);
    // Nobody of an earlier round, whose edges would count.
    let new = format!("new {round}");
    for session in [LONG, "m9"] {
        let room = if session == LONG { 2 * 10_000 } else { 4 * EACH };
        for (kind, data, n) in [
            ("ROOM_CREATED", json!({}), FEW),
            ("PARTICIPANT_JOINED", who(&new), FEW),
            ("PARTICIPANT_LEFT", who(&new), FEW),
            ("PARTICIPANT_LEFT", who("p9"), FEW),
            ("REACTIONS", json!({"participantId": "p", "reactions": ["like"]}), FEW),
            ("POLL_CREATED", json!({"pollId": "a", "question": "?", "answers": options}), FEW),
            ("FEEDBACK", json!({"rating": 5}), FEW),
            // It ends every stay of the session.
            ("ROOM_DESTROYED", json!({}), room),
        ] {
            let delivery = event(session, kind, &format!("{kind} {data} {round}"), &data);
            let handler = meetings.handler();
            let decoded = delivery.event();
            let mut context = Context::new(&delivery, connection);
            let handled = handler.any_event(&mut context, &decoded);
            meter.call(&format!("handle {kind} of {session}"), n, handled).await;
        }
    }
}

async fn asking<C: MeetingsConnection>(meetings: &Meetings, connection: &mut C, meter: &mut impl Meter) {
    let room = Fqn::new("app/room7");
    let present = meter.call("present", 10 + 50, meetings.present(connection, &room)).await;
    assert_eq!(present.people.len(), 10, "{present:?}");
    let empty = Fqn::new("app/long");
    meter.call("present in an empty room", 1, meetings.present(connection, &empty)).await;
    for (what, room) in [("a room", "app/room7"), ("a long room", "app/long"), ("any tenant's room", "long")]
    {
        let query = || SittingsQuery::of(&Fqn::new(room)).limit(20);
        let page =
            meter.call(&format!("sittings of {what}"), 20, meetings.sittings(connection, &query())).await;
        assert_eq!(page.len(), 20);
        let next = query().after(&page[19]).until(Timestamp::from_millis(9_000));
        meter.call(&format!("next sittings of {what}"), 24, meetings.sittings(connection, &next)).await;
        let few = query().limit(3);
        let read = meetings.attendance_of_room(connection, &few);
        meter.call(&format!("attendance of {what}"), 6 * EACH, read).await;
    }
    let (from, until) = (Timestamp::from_millis(5_000), Timestamp::from_millis(15_000));
    let user = UserId::new("u8");
    let of_user = meetings.attendance_of_user(connection, &user, from, until);
    let attended = meter.call("attendance of a user", 4 * EACH, of_user).await;
    assert!(attended.len() >= 10, "{attended:?}");
    let tenant = AppId::new("tenant7");
    let devices = meetings.monthly_devices(connection, &tenant, None, 2);
    let devices = meter.call("monthly devices", 300, devices).await;
    assert_eq!(devices.iter().map(|one| one.devices).collect::<Vec<_>>(), [100, 100]);
    let page = TimePageRequest { limit: 20, ..TimePageRequest::first() };
    let newest = meter.call("feedback of all", 24, meetings.feedback(connection, None, &page)).await;
    let next = TimePageRequest { after: newest.next, ..page };
    meter.call("more feedback of all", 24, meetings.feedback(connection, None, &next)).await;
}

async fn of_a_session<C: MeetingsConnection>(
    meetings: &Meetings,
    connection: &mut C,
    meter: &mut impl Meter,
) {
    let session = SessionId::new("m77");
    meter.call("a sitting", 1, meetings.sitting(connection, &session)).await;
    meter.call("stays", EACH, meetings.stays(connection, &session)).await;
    meter.call("attendance", EACH + 1, meetings.attendance(connection, &session)).await;
    meter.call("a meeting", 2 * EACH + 1, meetings.meeting(connection, &session)).await;
    meter.call("talk time", 2 * EACH, meetings.talk_time(connection, &session)).await;
    meter.call("polls", 2 * EACH, meetings.polls(connection, &session)).await;
    meter.call("reactions", EACH, meetings.reactions(connection, &session)).await;
    meter.call("a transcript", 3 * EACH, meetings.transcript(connection, &session)).await;
    let page = TimePageRequest { limit: 20, ..TimePageRequest::first() };
    let long = SessionId::new(LONG);
    for (what, session) in [("a session", &session), ("a long session", &long)] {
        let read = meetings.feedback(connection, Some(session), &page);
        let first = meter.call(&format!("feedback of {what}"), 24, read).await;
        let next = TimePageRequest { after: first.next.clone(), ..page.clone() };
        let read = meetings.feedback(connection, Some(session), &next);
        meter.call(&format!("more feedback of {what}"), 24, read).await;
        let read = meetings.phrases(connection, session, &page);
        let first = meter.call(&format!("phrases of {what}"), 24, read).await;
        let next = TimePageRequest { after: first.next.clone(), ..page.clone() };
        let read = meetings.phrases(connection, session, &next);
        meter.call(&format!("more phrases of {what}"), 24, read).await;
    }
}

/// The announcer looks for what is due a few times, while nothing is.
async fn announcing<C>(meetings: &Meetings, address: &str, meter: &mut impl Meter)
where
    C: MeetingsConnection + AsyncConnection,
{
    let address = address.to_owned();
    let connect = move || {
        let address = address.clone();
        async move { C::establish(&address).await }
    };
    let announcer = meetings.on_meeting_ended(connect, Nothing);
    let announcer = announcer.interval(Duration::from_millis(100));
    let looked = async {
        let announcer = announcer.spawn().map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        announcer.stop().await;
        Ok::<_, String>(())
    };
    meter.call("look for what has ended", FEW, looked).await;
}
