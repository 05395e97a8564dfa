//! The end of a sitting is announced once, after the grace period.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use diesel_async::SimpleAsyncConnection;
use jaas_core::meetings::Sitting;
use jaas_core::{HandlerError, Timestamp};
use jaas_diesel::meetings::{AnnouncerHandle, MeetingEnded, Meetings};

use crate::meetings::world::{World, closed, connect, joined, on_all, opened};

on_all! {
    an_end_is_announced_once_after_the_grace_period_and_not_when_the_room_opens_again
    a_handler_that_fails_is_called_again_and_leaves_no_row
    an_announcer_that_is_killed_again_and_again_announces_each_end_once
}

/// A clock that is set by hand, in seconds.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn set(&self, secs: i64) {
        self.0.store(secs, Ordering::Relaxed);
    }

    fn meetings(&self) -> Meetings {
        let now = self.0.clone();
        let clock = move || Timestamp::from_secs(now.load(Ordering::Relaxed));
        Meetings::builder().grace(Duration::from_secs(100)).clock(clock).build().expect("built")
    }
}

/// Writes a row for each end; fails the first so many times, after it has written.
#[derive(Clone, Default)]
struct Writes {
    failures: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    pause: Duration,
}

#[async_trait]
impl<C: SimpleAsyncConnection + Send> MeetingEnded<C> for Writes {
    async fn meeting_ended(&self, tx: &mut C, sitting: &Sitting) -> Result<(), HandlerError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        tx.batch_execute(&format!("INSERT INTO ended (session_id) VALUES ('{}')", sitting.session)).await?;
        tokio::time::sleep(self.pause).await;
        let failing =
            self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if failing.is_ok() { Err(HandlerError::retry("not now")) } else { Ok(()) }
    }
}

fn announce<W: World>(world: &W, meetings: &Meetings, handler: Writes) -> AnnouncerHandle {
    let url = world.url();
    let connecting = move || connect::<W::Connection>(url.clone());
    let announcer = meetings.on_meeting_ended(connecting, handler);
    let often = Duration::from_millis(5);
    announcer.interval(often).retry_interval(Duration::from_millis(1)).spawn().expect("spawned")
}

#[derive(diesel::QueryableByName)]
struct Session {
    #[diesel(sql_type = diesel::sql_types::Text)]
    session_id: String,
}

macro_rules! ended {
    ($world:expr) => {{
        let sql = diesel::sql_query("SELECT session_id FROM ended");
        let rows: Vec<Session> =
            diesel_async::RunQueryDsl::load(sql, &mut $world.connection().await).await.expect("read");
        let mut sessions: Vec<String> = rows.into_iter().map(|row| row.session_id).collect();
        sessions.sort();
        sessions
    }};
}

macro_rules! until_ended {
    ($world:expr, $expected:expr) => {{
        let expected: Vec<String> = $expected.into_iter().map(Into::into).collect();
        for _ in 0..2000 {
            if ended!($world) == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(ended!($world), expected);
    }};
}

async fn create_table<W: World>(world: &W) {
    let table = "CREATE TABLE ended (session_id VARCHAR(255) NOT NULL)";
    world.connection().await.batch_execute(table).await.expect("created");
}

async fn an_end_is_announced_once_after_the_grace_period_and_not_when_the_room_opens_again<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Session>,
{
    create_table(world).await;
    let hand = Hand::default();
    let meetings = hand.meetings();
    hand.set(50);
    let events = [
        opened("a", 1),
        joined("a", 2, "p"),
        closed("a", 50),
        opened("b", 3),
        closed("b", 40),
        opened("c", 5),
    ];
    world.handle(&meetings, &events).await;
    // Two processes, from the beginning.
    let handler = Writes::default();
    let announcers =
        [announce(world, &meetings, handler.clone()), announce(world, &meetings, handler.clone())];
    hand.set(149);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ended!(world), [""; 0], "the grace period is not over");
    // One opens again within it.
    world.handle(&meetings, &[opened("b", 60)]).await;
    hand.set(1000);
    until_ended!(world, ["a"]);
    world.handle(&meetings, &[closed("b", 1000)]).await;
    hand.set(1099);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ended!(world), ["a"]);
    hand.set(1100);
    until_ended!(world, ["a", "b"]);
    // Announced, a sitting stays so, whatever comes late.
    world.handle(&meetings, &[opened("a", 1200), closed("a", 1300), joined("b", 1001, "q")]).await;
    hand.set(9000);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ended!(world), ["a", "b"]);
    assert_eq!(handler.calls.load(Ordering::Relaxed), 2);
    for announcer in announcers {
        announcer.stop().await;
    }
}

async fn a_handler_that_fails_is_called_again_and_leaves_no_row<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Session>,
{
    create_table(world).await;
    let hand = Hand::default();
    let meetings = hand.meetings();
    world.handle(&meetings, &[opened("a", 1), closed("a", 2), opened("b", 1), closed("b", 2)]).await;
    let handler = Writes { failures: Arc::new(AtomicUsize::new(3)), ..Writes::default() };
    let announcer = announce(world, &meetings, handler.clone());
    for secs in 500..560 {
        // Time goes on, so that what was postponed is due again.
        hand.set(secs);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until_ended!(world, ["a", "b"]);
    assert_eq!(handler.calls.load(Ordering::Relaxed), 5);
    announcer.stop().await;
}

async fn an_announcer_that_is_killed_again_and_again_announces_each_end_once<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Session>,
{
    create_table(world).await;
    let hand = Hand::default();
    let meetings = hand.meetings();
    let mut events = Vec::new();
    for number in 100..130 {
        let session = number.to_string();
        events.extend([opened(&session, 1), closed(&session, 2), opened(&format!("on-{number}"), 1)]);
    }
    world.handle(&meetings, &events).await;
    hand.set(1000);
    let handler = Writes { pause: Duration::from_millis(3), ..Writes::default() };
    for kill in 0..100 {
        let announcer = announce(world, &meetings, handler.clone());
        tokio::time::sleep(Duration::from_micros(kill * 500)).await;
        // Dropped wherever it is: within a statement, or between the row and the commit.
        drop(announcer);
    }
    let announcer = announce(world, &meetings, handler);
    until_ended!(world, (100..130).map(|number| number.to_string()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    until_ended!(world, (100..130).map(|number| number.to_string()));
    announcer.stop().await;
}
