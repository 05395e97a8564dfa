//! A process with a worker and an announcer is killed again and again: the tables are those of a run without kills, and each end
//! is announced once. Each test starts this test binary again as the process to kill.
//!
//! `JAAS_TEST_KILLS` is how many times; 5 unless it is set.

use std::env;
use std::future::pending;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection};
use jaas_core::event::{Event, EventKind};
use jaas_core::meetings::{DeviceKey, Sitting};
use jaas_core::{Clock as _, Delivery, HandlerError, Handlers, Room, SystemClock, Worker, WorkerHandle};
use jaas_diesel::meetings::{AnnouncerHandle, MeetingEnded, Meetings};

use crate::meetings::dump::{Line, dump};
use crate::meetings::seeded::{Dice, day};
use crate::meetings::world::{World, connect, stop};

/// The address of the database, in the process to kill.
const CHILD: &str = "JAAS_MEETINGS_CHILD";

macro_rules! on_each {
    ($($module:ident $World:ident)*) => {$(
        mod $module {
            #[test]
            fn the_tables_and_the_announcements_survive_kill_nine() {
                super::run::<$crate::meetings::world::$World>(stringify!($module));
            }
        }
    )*};
}

on_each! {
    sqlite Sqlite
    postgres Postgres
    mysql Mysql
}

#[derive(diesel::QueryableByName, Debug, PartialEq)]
struct Announced {
    #[diesel(sql_type = Text)]
    session_id: String,
}

/// Writes a row for each end, and takes its time before the commit.
struct Writes;

#[async_trait]
impl<C: SimpleAsyncConnection + Send> MeetingEnded<C> for Writes {
    async fn meeting_ended(&self, tx: &mut C, sitting: &Sitting) -> Result<(), HandlerError> {
        tx.batch_execute(&format!("INSERT INTO ended (session_id) VALUES ('{}')", sitting.session)).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    }
}

fn run<W: Readable>(module: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match env::var(CHILD) {
        Ok(url) => runtime.block_on(async {
            let _running = start::<W>(W::open(url.clone()).await, url);
            pending::<()>().await;
        }),
        Err(_) => runtime.block_on(parent::<W>(module)),
    }
}

pub(crate) fn meetings() -> Meetings {
    let key = DeviceKey::new("0123456789abcdef").expect("long enough");
    // After all meetings, on any date.
    let later = || SystemClock.now().saturating_add(Duration::from_secs(10 * 365 * 24 * 60 * 60));
    let builder = Meetings::builder().devices(key).phrases(true).clock(later);
    builder.grace(Duration::from_millis(20)).build().expect("built")
}

pub(crate) fn start<W: World>(store: W::Store, url: String) -> (WorkerHandle, AnnouncerHandle) {
    let meetings = meetings();
    let handlers = Handlers::new().transactional("meetings", meetings.handler());
    let worker = Worker::builder(store, handlers)
        .lease(Duration::from_millis(500))
        .poll_interval(Duration::from_millis(20))
        .max_crashes(10_000)
        .build()
        .expect("a worker");
    let announcer = meetings.on_meeting_ended(move || connect::<W::Connection>(url.clone()), Writes);
    let announcer = announcer.interval(Duration::from_millis(5)).spawn().expect("spawned");
    (worker.spawn(), announcer)
}

fn is_end(delivery: &Delivery) -> bool {
    let main = |event| matches!(event, Event::RoomDestroyed(closed) if closed.room == Room::Main);
    delivery.envelope.kind == EventKind::RoomDestroyed && main(delivery.event())
}

/// What is received, and the sessions that end. Every fifth meeting goes on.
pub(crate) struct Scene {
    pub(crate) deliveries: Vec<Delivery>,
    ended: Vec<String>,
}

impl Scene {
    pub(crate) fn new(meetings: usize) -> Self {
        let (mut deliveries, facts) = day(11, meetings);
        let goes_on: Vec<&str> = facts.iter().step_by(5).map(|facts| facts.session.as_str()).collect();
        let session = |delivery: &Delivery| delivery.envelope.session_id.clone().map(|id| id.to_string());
        deliveries.retain(|delivery| {
            !(is_end(delivery) && session(delivery).is_some_and(|id| goes_on.contains(&&*id)))
        });
        let mut ended: Vec<String> = facts.iter().map(|facts| facts.session.to_string()).collect();
        ended.retain(|id| !goes_on.contains(&&**id));
        ended.sort();
        Self { deliveries, ended }
    }

    /// The table in which [`Writes`] writes.
    pub(crate) async fn prepare<W: World>(&self, world: &W) {
        let table = "CREATE TABLE ended (session_id VARCHAR(255) NOT NULL)";
        world.connection().await.batch_execute(table).await.expect("created");
    }

    /// Waits until each end was announced once, and none of a meeting that goes on.
    pub(crate) async fn is_announced<W: Readable>(&self, world: &W) {
        let mut connection = world.connection().await;
        let begun = Instant::now();
        loop {
            let announced = W::announced(&mut connection).await;
            if announced.len() >= self.ended.len() {
                assert_eq!(announced, self.ended, "each end once, and none of a meeting that goes on");
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{announced:?} of {:?}", self.ended);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The tables are those of a world in which nothing happened to the worker.
    pub(crate) async fn is_as_if_nothing_had_happened<W: Readable>(&self, world: &W) {
        let calm = W::start().await.expect("started");
        calm.handle(&meetings(), &self.deliveries).await;
        let rows = W::dumped(&mut world.connection().await).await;
        assert!(rows.len() > 300, "{} rows", rows.len());
        assert_eq!(rows, W::dumped(&mut calm.connection().await).await);
    }
}

/// A world whose tables this test can read.
pub(crate) trait Readable: World {
    async fn announced(connection: &mut Self::Connection) -> Vec<String>;
    async fn dumped(connection: &mut Self::Connection) -> Vec<String>;
}

impl<W> Readable for W
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>
        + diesel_async::methods::LoadQuery<'static, W::Connection, Announced>,
{
    async fn announced(connection: &mut W::Connection) -> Vec<String> {
        let sql = diesel::sql_query("SELECT session_id FROM ended ORDER BY session_id");
        let rows: Vec<Announced> = sql.load(connection).await.expect("read");
        rows.into_iter().map(|row| row.session_id).collect()
    }

    async fn dumped(connection: &mut W::Connection) -> Vec<String> {
        dump(connection).await
    }
}

async fn parent<W: Readable>(module: &str) {
    let Some(world) = W::start().await else { return };
    let kills: usize = env::var("JAAS_TEST_KILLS").map_or(5, |number| number.parse().expect("a number"));
    let scene = Scene::new(kills.clamp(12, 60));
    scene.prepare(&world).await;
    let mut dice = Dice(3);
    for slice in scene.deliveries.chunks(scene.deliveries.len().div_ceil(kills)) {
        let mut child = Killed(spawn(module, &world.url()));
        world.accept(slice).await;
        // Some are killed before they have opened the database, some in the middle of the work.
        tokio::time::sleep(Duration::from_millis(20 + dice.below(280))).await;
        child.0.kill().expect("killed");
        child.0.wait().expect("waited");
    }
    let (worker, announcer) = start::<W>(world.store(), world.url());
    world.is_worked_off().await;
    scene.is_announced(&world).await;
    stop(vec![worker]).await;
    announcer.stop().await;
    scene.is_as_if_nothing_had_happened(&world).await;
}

fn spawn(module: &str, url: &str) -> Child {
    Command::new(env::current_exe().expect("a path"))
        .args([
            &*format!("meetings::killed::{module}::the_tables_and_the_announcements_survive_kill_nine"),
            "--exact",
            "--test-threads=1",
        ])
        .env(CHILD, url)
        .stdout(Stdio::null())
        .spawn()
        .expect("started")
}

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
