//! Whole days of meetings of which some events never come.

use std::sync::Arc;

use jaas_core::event::EventKind;
use jaas_core::store::MemoryStore;
use jaas_testkit::watch::Drill;

/// How many meetings, unless the environment says otherwise.
fn meetings_to_play() -> usize {
    std::env::var("JAAS_TEST_MEETINGS").ok().and_then(|number| number.parse().ok()).unwrap_or(300)
}

#[tokio::test]
async fn lost_events_are_noticed_and_clean_meetings_raise_no_alarm() {
    // Of few meetings, more is lost, so that there is something to notice.
    let share = if meetings_to_play() < 5000 { 0.1 } else { 0.01 };
    let store = Arc::new(MemoryStore::with_capacity(2_000_000));
    let drill = Drill::new(20_261_128).meetings(meetings_to_play()).share(share);
    let score = drill.run(store).await.expect("played");
    println!(
        "{} meetings, {} clean: recall {:?}, {} false alarms, vanished {:?}, {} reported, {} twice, {} came later, \
         {} not closed",
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
    assert_eq!(score.vanished.0, score.vanished.1);
    assert_eq!((score.reported_twice, score.not_closed), (0, 0));
    assert!(score.came_later > 0);
}
