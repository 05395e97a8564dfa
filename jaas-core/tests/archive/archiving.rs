//! What the archiver does, with paused time.

use std::time::Duration;

use jaas_core::archive::{ArtifactState, FetchErrorKind, ObjectName};
use jaas_core::store::{AuditNote, EventAdmin as _};
use jaas_testkit::archive::FakeSinkFault;

use crate::archive::world::{Act, HOUR, START, World, pass};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_file_is_kept_and_reported_once() {
    let world = World::start();
    world.event("k-1", 24 * HOUR, [Act::File("a recording")]).await;
    pass(3 * SECOND).await;
    assert_eq!(world.heard.lines(), ["stored k-1 11"]);
    let name = "vpaas-magic-cookie-1/math/s-1/recording-k-1.mp4";
    assert_eq!(world.sink.object(name).expect("kept"), "a recording");
    let record = world.records().await.remove(0);
    assert_eq!(record.state, ArtifactState::Stored);
    let kept = record.kept.expect("kept");
    assert_eq!((kept.object.as_str(), kept.bytes), (name, 11));
    assert_eq!(kept.sha256[..4], [0x97, 0x3d, 0x5c, 0xd4]);
    pass(30 * HOUR).await;
    assert_eq!(world.heard.lines().len(), 1);
    assert_eq!(world.fetch.fetched().len(), 1);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_link_is_tried_until_it_dies_and_is_at_risk_before() {
    let world = World::start();
    world.event("k-1", 24 * HOUR, [Act::Fail(FetchErrorKind::Failed)]).await;
    pass(17 * HOUR).await;
    assert!(world.heard.lines().is_empty());
    let tries = world.fetch.fetched().len();
    assert!((40..120).contains(&tries), "{tries} in 17 h");
    pass(2 * HOUR).await;
    assert_eq!(world.heard.lines(), ["at risk k-1 6"]);
    pass(5 * HOUR - 30 * SECOND).await;
    assert_eq!(world.heard.lines().len(), 1);
    let before = world.fetch.fetched().len();
    pass(29 * SECOND).await;
    assert!(world.fetch.fetched().len() > before, "tried until the end");
    pass(3 * SECOND).await;
    assert_eq!(world.heard.lines(), ["at risk k-1 6", "lost k-1 expired"]);
    let record = world.records().await.remove(0);
    assert_eq!(record.error.as_deref(), Some("scripted to be Failed"));
    assert!(record.settled_at.expect("settled").duration_since(START) >= 24 * HOUR);
    let tries = world.fetch.fetched().len();
    pass(10 * HOUR).await;
    assert_eq!((world.heard.lines().len(), world.fetch.fetched().len()), (2, tries));
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_works_again_is_kept() {
    let world = World::start();
    let failures = std::iter::repeat_n(Act::Fail(FetchErrorKind::Failed), 40);
    world.event("k-1", 24 * HOUR, failures.chain([Act::File("at last")])).await;
    pass(20 * HOUR).await;
    assert_eq!(world.heard.lines(), ["stored k-1 7"]);
    assert_eq!(world.records().await[0].failures, 40);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn gone_and_refused_are_lost_at_once_and_what_is_not_allowed_is_at_risk_at_once() {
    let world = World::start();
    world.event("gone", 24 * HOUR, [Act::Fail(FetchErrorKind::Gone)]).await;
    world.event("refused", 24 * HOUR, [Act::Fail(FetchErrorKind::Refused)]).await;
    world.event("host", 24 * HOUR, [Act::Fail(FetchErrorKind::NotAllowed)]).await;
    pass(10 * SECOND).await;
    let mut lines = world.heard.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["at risk host 23", "lost gone gone", "lost refused refused"]);
    pass(24 * HOUR).await;
    assert_eq!(world.heard.lines()[3..], ["lost host refused"]);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_lost_without_a_try() {
    let world = World::start();
    world.event("k-1", Duration::ZERO, [Act::File("too late")]).await;
    pass(5 * SECOND).await;
    assert!(world.heard.lines().contains(&"lost k-1 expired".to_owned()), "{:?}", world.heard.lines());
    assert!(world.fetch.fetched().is_empty());
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_handler_is_called_again_and_nothing_is_fetched_for_it() {
    let world = World::start();
    world.heard.fail(5);
    world.event("k-1", HOUR, [Act::File("a recording")]).await;
    // Beyond the deadline: what is kept is not lost any more.
    pass(Duration::from_millis(500)).await;
    assert!(world.heard.lines().is_empty());
    pass(2 * HOUR).await;
    let lines = world.heard.lines();
    assert!(
        lines.contains(&"stored k-1 11".to_owned()) && !lines.iter().any(|line| line.starts_with("lost")),
        "{lines:?}"
    );
    assert_eq!(world.fetch.fetched().len(), 1);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_keeps_nothing_and_is_tried_again() {
    let world = World::start();
    for fault in [FakeSinkFault::Begin, FakeSinkFault::Write, FakeSinkFault::Commit] {
        world.sink.fail(fault);
    }
    world.event("k-1", 24 * HOUR, [Act::File("a recording")]).await;
    pass(Duration::from_millis(300)).await;
    assert!(world.sink.names().is_empty() && world.heard.lines().is_empty());
    assert!(world.records().await[0].error.as_deref().expect("an error").contains("Begin fails on request"));
    pass(HOUR).await;
    assert_eq!(world.heard.lines(), ["stored k-1 11"]);
    assert_eq!((world.sink.commits(), world.sink.aborts()), (1, 2));
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_back_what_is_being_fetched_and_another_archiver_goes_on() {
    let world = World::start();
    world.event("k-1", 24 * HOUR, [Act::Hang]).await;
    pass(3 * SECOND).await;
    assert_eq!(world.records().await[0].state, ArtifactState::Running);
    let (store, ..) = world.stop(SECOND).await;
    let world = World::over(store, |archive| archive);
    world.fetch.script("https://8x8.vc/p/k-1/token", [Act::File("a recording")]);
    let record = world.records().await.remove(0);
    assert_eq!((record.state, record.failures), (ArtifactState::Waiting, 0));
    pass(20 * SECOND).await;
    assert_eq!(world.heard.lines(), ["stored k-1 11"]);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_a_file_is_fetched() {
    let world = World::start();
    let other = World::over(world.store.clone(), |archive| archive.name("other"));
    world.event("k-1", 24 * HOUR, [Act::Slow(HOUR)]).await;
    other.fetch.script("https://8x8.vc/p/k-1/token", [Act::Slow(HOUR)]);
    pass(2 * HOUR).await;
    assert_eq!(world.fetch.fetched().len() + other.fetch.fetched().len(), 1);
    assert_eq!([world.heard.lines(), other.heard.lines()].concat(), ["stored k-1 4"]);
    world.stop(SECOND).await;
    other.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn erasing_a_session_ends_a_download_and_keeps_nothing() {
    let world = World::start();
    world.event("k-1", 24 * HOUR, [Act::Slow(HOUR)]).await;
    pass(3 * SECOND).await;
    let note = AuditNote::new("operator", "asked to");
    world.store.erase_session(&"s-1".into(), &note, START).await.expect("erased");
    pass(2 * HOUR).await;
    assert!(world.heard.lines().is_empty() && world.sink.names().is_empty());
    assert_eq!(world.records().await[0].state, ArtifactState::Ended);
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn an_application_names_objects_and_an_unsafe_name_is_no_object() {
    let world = World::with(|archive| {
        archive.names(|artifact| ObjectName::new(format!("mine/{}", artifact.idempotency_key)))
    });
    world.event("k-1", 24 * HOUR, [Act::File("a recording")]).await;
    world.event("../k-2", 24 * HOUR, [Act::File("a recording")]).await;
    pass(5 * SECOND).await;
    assert_eq!(world.sink.names(), ["mine/k-1"]);
    let lines = world.heard.lines();
    assert!(lines.contains(&"at risk ../k-2 23".to_owned()), "{lines:?}");
    world.stop(SECOND).await;
}
