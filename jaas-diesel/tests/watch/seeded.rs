//! Whole days of meetings of which some events never come.

use jaas_core::event::EventKind;
use jaas_core::store::{AttemptOutcome, AttemptQuery, EventAdmin as _};
use jaas_testkit::watch::Drill;

use crate::watch::world::{Mysql, Postgres, Sqlite, World};

/// How many meetings, unless the environment says otherwise.
fn meetings_to_play() -> usize {
    std::env::var("JAAS_TEST_MEETINGS").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

async fn lost_events_are_noticed<W: World>() {
    let Some(world) = W::start().await else { return };
    let store = W::open(world.url()).await;
    // Of few meetings, more is lost, so that there is something to notice.
    let share = if meetings_to_play() < 5000 { 0.15 } else { 0.01 };
    let drill = Drill::new(20_261_129).meetings(meetings_to_play()).share(share);
    let score = drill.run(store.clone()).await.expect("played");
    let failed = AttemptQuery { outcome: Some(AttemptOutcome::Failed), ..AttemptQuery::default() };
    let failed = store.attempts(&failed).await.expect("listed").items;
    assert!(failed.is_empty(), "{failed:?}");
    println!(
        "{}: {} meetings, {} clean: recall {:?}, {} false alarms, vanished {:?}, {} reported, {} twice, {} came later, \
         {} not closed",
        W::NAME,
        meetings_to_play(),
        score.clean_meetings,
        score.recall,
        score.false_alarms.len(),
        score.vanished,
        score.reported,
        score.reported_twice,
        score.came_later,
        score.not_closed
    );
    for kinds in [
        &[EventKind::RecordingUploaded, EventKind::TranscriptionUploaded][..],
        &[EventKind::ParticipantLeft],
        &[EventKind::RoomDestroyed],
    ] {
        let lost: usize =
            kinds.iter().filter_map(|kind| score.recall.get(kind.as_str())).map(|one| one.0).sum();
        assert!(lost > 0, "of {kinds:?} nothing was lost");
        assert!(score.recall_of(kinds) >= 0.99, "{kinds:?}: {:?}", score.recall);
    }
    let alarms = score.false_alarms.len();
    assert!(alarms * 1000 <= score.clean_meetings, "{alarms}: {:?}", score.false_alarms.first());
    assert_eq!((score.reported_twice, score.not_closed), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_noticed_on_sqlite() {
    lost_events_are_noticed::<Sqlite>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_noticed_on_postgresql() {
    lost_events_are_noticed::<Postgres>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_noticed_on_mysql() {
    lost_events_are_noticed::<Mysql>().await;
}
