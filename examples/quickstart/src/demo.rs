//! One simulated meeting, sent to this server over HTTP as JaaS would send it: signed, out of order, some events
//! twice. One more event is forged.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use diesel_async::AsyncConnection as _;
use jaas_core::signature::{self, Secret};
use jaas_core::store::{EventAdmin as _, EventQuery, StoredEvent};
use jaas_core::telemetry::Escaped;
use jaas_core::{Clock as _, SessionId, SystemClock, Timestamp};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use serde_json::{Value, json};

use crate::attendance;

pub(crate) async fn play(
    address: SocketAddr,
    path: &str,
    secret: &str,
    random: bool,
    store: &SqliteStore,
    database: &str,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    if random {
        writeln!(
            out,
            "JAAS_WEBHOOK_SECRET is not set: using a random secret for this run, and playing one meeting"
        )?;
    }
    let session = format!("demo-{:016x}", u64::from_be_bytes(random_bytes()?));
    let now = SystemClock.now();
    let meeting = Meeting { session: &session, started: now.saturating_sub(Duration::from_secs(45 * 60)) };
    let events = meeting.events();

    // A fixed shuffle: leaves come before joins, the room ends before it begins, and every third event comes twice.
    let mut deliveries: Vec<&Value> = Vec::new();
    for (index, event) in events.iter().rev().enumerate() {
        deliveries.push(event);
        if index % 3 == 0 {
            deliveries.insert(index / 2, event);
        }
    }

    let url = format!("http://{address}{path}");
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let genuine = Secret::new(secret)?;
    let mut received = 0;
    for event in &deliveries {
        let status = send(&client, &url, &genuine, event).await?;
        received += usize::from(status == 200);
    }
    let forged = meeting.event(
        "forged",
        "PARTICIPANT_JOINED",
        60,
        &json!({"name": "Mallory", "participantId": "bad"}),
    );
    let refused = usize::from(send(&client, &url, &Secret::new("whsec_guessed")?, &forged).await? == 401);

    let stored = handled(store, &session, events.len()).await?;
    let done = stored.iter().filter(|event| event.state.is_settled()).count();
    writeln!(out, "\nsent {} requests for {} events, out of order:", deliveries.len() + 1, events.len())?;
    writeln!(out, "  accepted             {:>3}", stored.len())?;
    writeln!(out, "  ignored as duplicate {:>3}", received - stored.len())?;
    writeln!(out, "  refused as forged    {refused:>3}")?;
    writeln!(out, "  handled              {done:>3}")?;

    writeln!(out, "\nattendance of the meeting {session}:")?;
    writeln!(out, "  {:<10} {:<14} {:<9} {:<9} {:>7}", "name", "room", "joined", "left", "minutes")?;
    let mut connection = Connection::establish(database).await?;
    for stay in attendance::of_session(&mut connection, &session).await? {
        // To the nearest minute: a stay of 19 min 57 s counts as 20 minutes.
        let minutes =
            |left: Timestamp| ((left.duration_since(stay.joined_at).as_secs() + 30) / 60).to_string();
        let minutes = stay.left_at.map_or_else(|| "?".to_owned(), minutes);
        let (joined, left) = (clock(Some(stay.joined_at)), clock(stay.left_at));
        writeln!(
            out,
            "  {:<10} {:<14} {joined:<9} {left:<9} {minutes:>7}",
            Escaped(stay.name),
            Escaped(stay.room)
        )?;
    }
    Ok(())
}

struct Meeting<'a> {
    session: &'a str,
    started: Timestamp,
}

impl Meeting<'_> {
    /// The events, in the order in which they happened.
    fn events(&self) -> Vec<Value> {
        let app = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c";
        let room = json!({"conference": format!("math@conference.{app}.8x8.vc"), "isBreakout": false});
        let person = |name: &str, id: &str| json!({"name": name, "participantId": id, "id": name.to_lowercase(), "moderator": name == "Ada", "isBreakout": false});
        let left = |name: &str, id: &str| {
            let mut data = person(name, id);
            data["disconnectReason"] = json!("left");
            data
        };
        [
            ("ROOM_CREATED", 0, room.clone()),
            ("PARTICIPANT_JOINED", 2, person("Ada", "a1b2c3d4")),
            ("PARTICIPANT_JOINED", 65, person("Grace", "0f1e2d3c")),
            ("RECORDING_STARTED", 120, json!({"conference": room["conference"]})),
            ("PARTICIPANT_JOINED", 300, person("Alan", "99887766")),
            (
                "REACTIONS",
                900,
                json!({"participantId": "ada", "participantName": "Ada", "reactions": ["like", "clap"]}),
            ),
            ("PARTICIPANT_LEFT", 1505, left("Grace", "0f1e2d3c")),
            ("RECORDING_ENDED", 2460, json!({"conference": room["conference"]})),
            ("FEEDBACK", 2510, json!({"rating": 5, "comments": "clear at last", "userId": "ada"})),
            ("PARTICIPANT_LEFT", 2520, left("Ada", "a1b2c3d4")),
            // Alan's leave never comes: the end of the room closes his attendance.
            ("ROOM_DESTROYED", 2700, room),
        ]
        .into_iter()
        .enumerate()
        .map(|(index, (event_type, secs, data))| self.event(&index.to_string(), event_type, secs, &data))
        .collect()
    }

    fn event(&self, key: &str, event_type: &str, secs: u64, data: &Value) -> Value {
        let customer = "c2824d584eac4489a1e32e4e164d5a3c";
        json!({
            "idempotencyKey": format!("{}-{key}", self.session),
            "customerId": customer,
            "appId": format!("vpaas-magic-cookie-{customer}"),
            "eventType": event_type,
            "sessionId": self.session,
            "timestamp": self.started.saturating_add(Duration::from_secs(secs)).as_millis(),
            "fqn": format!("vpaas-magic-cookie-{customer}/math"),
            "data": data,
        })
    }
}

async fn send(
    client: &reqwest::Client,
    url: &str,
    secret: &Secret,
    event: &Value,
) -> Result<u16, Box<dyn Error>> {
    let body = event.to_string();
    let signature = signature::sign(secret, SystemClock.now(), body.as_bytes());
    let request =
        client.post(url).header("Content-Type", "application/json").header("X-Jaas-Signature", signature);
    Ok(request.body(body).send().await?.status().as_u16())
}

/// Waits until the expected number of events is settled, and returns the events of the session.
async fn handled(
    store: &SqliteStore,
    session: &str,
    expected: usize,
) -> Result<Vec<StoredEvent>, Box<dyn Error>> {
    let query = EventQuery { session_id: Some(SessionId::new(session)), ..EventQuery::default() };
    for _ in 0..300 {
        let events = store.events(&query).await?.items;
        if events.iter().filter(|event| event.state.is_settled()).count() >= expected {
            return Ok(events);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the meeting was not handled within 30 s; see the log for the cause".into())
}

fn random_bytes() -> Result<[u8; 8], getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The time of day, in UTC.
fn clock(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "?".to_owned(), |at| at.to_string().get(11..19).unwrap_or("?").to_owned())
}
