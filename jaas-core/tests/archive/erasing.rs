//! Erasing a session whose files are in the sink already.

use std::time::Duration;

use jaas_core::archive::{Archive, ArtifactState, DeleteError};
use jaas_core::store::{AuditNote, EventAdmin as _};
use jaas_testkit::archive::FakeSinkFault;

use crate::archive::world::{Act, HOUR, START, World, pass};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_objects_of_an_erased_session_are_deleted_also_those_that_the_handler_never_recorded() {
    let world = World::start();
    world.event("k-1", 24 * HOUR, [Act::File("recorded")]).await;
    pass(3 * SECOND).await;
    world.heard.fail(usize::MAX);
    world.event("k-2", 24 * HOUR, [Act::File("never recorded")]).await;
    pass(HOUR).await;
    assert_eq!(world.heard.lines(), ["stored k-1 8"]);
    assert_eq!(world.sink.names().len(), 2);

    let archive = Archive::builder(world.store.clone(), world.sink.clone())
        .fetcher(world.fetch.clone())
        .build()
        .expect("an archive");
    assert_eq!(archive.delete_objects(&"s-2".into()).await.expect("deleted"), 0);
    let note = AuditNote::new("operator", "asked to");
    world.store.erase_session(&"s-1".into(), &note, START).await.expect("erased");
    let states: Vec<_> = world.records().await.iter().map(|record| record.state).collect();
    assert_eq!(states, [ArtifactState::Stored, ArtifactState::Ended]);

    world.sink.fail(FakeSinkFault::Delete);
    let error = archive.delete_objects(&"s-1".into()).await.expect_err("the sink fails");
    assert!(matches!(error, DeleteError::Sink { .. }), "{error}");
    assert_eq!(archive.delete_objects(&"s-1".into()).await.expect("deleted"), 2);
    assert!(world.sink.names().is_empty());
    pass(30 * HOUR).await;
    assert!(world.sink.names().is_empty() && world.heard.lines().len() == 1, "nothing comes back");
    world.stop(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_session_that_is_not_erased_stay_until_the_handler_has_recorded_them() {
    let world = World::start();
    world.heard.fail(3);
    world.event("k-1", 24 * HOUR, [Act::File("a recording")]).await;
    pass(Duration::from_millis(500)).await;
    let archive = Archive::builder(world.store.clone(), world.sink.clone())
        .fetcher(world.fetch.clone())
        .build()
        .expect("an archive");
    assert_eq!(archive.delete_objects(&"s-1".into()).await.expect("deleted"), 0);
    pass(HOUR).await;
    assert_eq!(world.heard.lines(), ["stored k-1 11"]);
    assert_eq!(world.sink.names().len(), 1, "what is recorded as stored is there");
    world.stop(SECOND).await;
}
