//! Three simulated meetings, sent to this server over HTTP as JaaS would send them: signed, out of order, some events twice.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use jaas_core::store::{EventAdmin as _, EventState};
use jaas_core::{Clock as _, SystemClock};
use jaas_diesel::SqliteStore;
use jaas_testkit::Signer;
use jaas_testkit::simulator::{Meeting, Person};

pub(crate) async fn play(
    address: SocketAddr,
    path: &str,
    secret: &str,
    random: bool,
    store: &SqliteStore,
    picture: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    if random {
        writeln!(
            out,
            "JAAS_WEBHOOK_SECRET is not set: using a random secret for this run, and playing three meetings"
        )?;
    }
    let meetings = [lesson(), webinar(), standup()];
    let bodies: Vec<_> = meetings.iter().flat_map(Meeting::bodies).collect();
    // A fixed shuffle, so that leaves come before joins and rooms close before they open; every fourth event twice.
    let mut order: Vec<usize> = (0..bodies.len()).rev().collect();
    order.extend((0..bodies.len()).step_by(4));
    order.sort_by_key(|index| index * 37 % 101);

    let base = format!("http://{address}");
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let signer = Signer::new(secret)?;
    for index in &order {
        let request = signer.sign(SystemClock.now(), bodies[*index].clone());
        let mut post = client.post(format!("{base}{path}"));
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        let status = post.body(request.body).send().await?.status();
        if !status.is_success() {
            return Err(format!("an event was refused: {status}").into());
        }
    }

    let get = async |path: String| -> Result<String, reqwest::Error> {
        client.get(format!("{base}{path}")).send().await?.error_for_status()?.text().await
    };
    handled(store).await?;
    let present = get("/rooms/standup".to_owned()).await?;

    writeln!(out, "\nsent {} requests for {} events, out of order", order.len(), bodies.len())?;
    for meeting in &meetings[..2] {
        let csv = get(format!("/sessions/{}.csv", meeting.session())).await?;
        writeln!(out, "\nattendance of {}, GET /sessions/{}.csv:", meeting.facts().room, meeting.session())?;
        write!(out, "{csv}")?;
    }
    let timeline = get(format!("/sessions/{}.svg", meetings[0].session())).await?;
    writeln!(out, "\ntimeline of lesson, GET /sessions/{}.svg:", meetings[0].session())?;
    writeln!(out, "{timeline}")?;
    if let Some(file) = picture {
        std::fs::write(file, &timeline).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    writeln!(out, "present in standup, GET /rooms/standup:")?;
    writeln!(out, "{present}")?;
    Ok(())
}

/// Waits until no event waits or runs.
async fn handled(store: &SqliteStore) -> Result<(), Box<dyn Error>> {
    for _ in 0..300 {
        let stats = store.stats().await?;
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the meetings were not handled within 30 s; the log says why".into())
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// A lesson with a breakout room, a second tab, and a departure that is never told.
fn lesson() -> Meeting {
    let mut meeting = Meeting::new(1).in_room("lesson");
    let ada = meeting.join(&Person::named("Ada").moderator());
    meeting.wait(minutes(2));
    let ben = meeting.join(&Person::named("Ben"));
    let cem = meeting.join(&Person::named("Cem"));
    meeting.wait(minutes(8));
    let tab = meeting.second_tab(ben);
    let dora = meeting.join(&Person::named("Dora"));
    meeting.wait(minutes(5));
    let group = meeting.open_breakout();
    meeting.move_to(cem, group);
    meeting.move_to(dora, group);
    meeting.leave(tab);
    meeting.wait(minutes(15));
    meeting.close_breakout(group);
    meeting.wait(minutes(5));
    meeting.vanish(dora);
    meeting.wait(minutes(5));
    meeting.leave(ben);
    meeting.wait(minutes(5));
    meeting.leave(cem);
    meeting.leave(ada);
    meeting.end();
    meeting
}

/// A webinar with a visitor, a phone, and somebody who comes back.
fn webinar() -> Meeting {
    let mut meeting = Meeting::new(2).in_room("webinar");
    let grace = meeting.join(&Person::named("Grace").moderator());
    let visitor = meeting.join_as_visitor(&Person::named("Ines"));
    meeting.wait(minutes(10));
    let phone = meeting.dial_in("15550100123");
    let ben = meeting.join(&Person::named("Ben"));
    meeting.wait(minutes(10));
    meeting.lose_connection(ben);
    meeting.wait(minutes(1));
    meeting.rejoin(ben);
    meeting.wait(minutes(20));
    meeting.hang_up(phone);
    meeting.leave(visitor);
    meeting.leave(grace);
    meeting.end();
    meeting
}

/// A meeting that goes on, with two tabs of one user and somebody in the lobby.
fn standup() -> Meeting {
    let mut meeting = Meeting::new(3).in_room("standup");
    meeting.join(&Person::named("Ada").moderator());
    meeting.wait(minutes(1));
    let ben = meeting.join(&Person::named("Ben"));
    let cem = meeting.join(&Person::named("Cem"));
    meeting.second_tab(ben);
    meeting.wait(minutes(3));
    meeting.knock(&Person::named("Dora"));
    meeting.leave(cem);
    meeting
}
