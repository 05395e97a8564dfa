//! Dead letters and `discard`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{
    AuditAction, DeadLetterGroup, EventAdmin, EventQuery, EventState, EventStore as _, PageRequest, RowId,
    StoreErrorKind,
};

use super::Harness;
use super::support::*;

pub async fn fail_without_another_attempt_is_a_dead_letter<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.fail(lease, &final_failure("no such room"), at(7)).await.expect("recorded");
    assert!(store.claimed(1_000_000).await.is_empty());
    let query = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let dead = store.events(&query).await.expect("listed").items;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].note.as_deref(), dead[0].settled_at, dead[0].failures),
        (Some("no such room"), Some(at(7)), 1)
    );
}

pub async fn claim_dead_letters_an_event_that_crashed_too_often<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    store.claimed_one(0).await;
    store.claimed_one(15_000).await;
    assert!(store.claimed(30_000).await.is_empty());
    let event = store.only().await;
    assert_eq!((event.state, event.crashes, event.failures), (EventState::Dead, 2, 0));
    assert_eq!(event.settled_at, Some(at(30_000)));
    assert_eq!(event.note, Some(jaas_core::store::tools::crash_note(2)));
}

pub async fn dead_letters_are_grouped_by_type_and_error<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    assert_eq!(store.dead_letters().await.expect("grouped"), []);
    let deaths = [
        ("PARTICIPANT_JOINED", "no room", 50),
        ("PARTICIPANT_JOINED", "No room", 10),
        ("ROOM_CREATED", "no room", 30),
        ("PARTICIPANT_JOINED", "no room", 20),
        ("PARTICIPANT_JOINED", "no room", 40),
        ("ROOM_CREATED", "no room", 35),
    ];
    for (number, (event_type, error, millis)) in deaths.into_iter().enumerate() {
        store.stored(event_of(event_type, &number.to_string(), None, 0)).await;
        let lease = store.claimed_one(0).await.lease;
        store.fail(lease, &final_failure(error), at(millis)).await.expect("recorded");
    }
    store.ends("ignored", EventState::Ignored, 0).await;
    let groups = store.dead_letters().await.expect("grouped");
    let found: Vec<_> = groups
        .iter()
        .map(|DeadLetterGroup { key, count, first_at, last_at, .. }| {
            (&*key.event_type, key.error.as_deref(), *count, *first_at, *last_at)
        })
        .collect();
    let expected = [
        ("PARTICIPANT_JOINED", Some("no room"), 3, at(20), at(50)),
        ("ROOM_CREATED", Some("no room"), 2, at(30), at(35)),
        ("PARTICIPANT_JOINED", Some("No room"), 1, at(10), at(10)),
    ];
    assert_eq!(found, expected);

    store.replay(store.named("0").await.id, &note(), at(60)).await.expect("replayed");
    let groups = store.dead_letters().await.expect("grouped");
    let group = groups.iter().find(|group| group.last_at == at(40)).expect("without the replayed one");
    assert_eq!((group.count, groups.len()), (2, 3));
}

pub async fn discard_settles_an_event_and_is_audited<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("ignored", EventState::Ignored, 0).await;
    store.ends("dead", EventState::Dead, 0).await;
    store.stored(event("waiting", Some("s"), 0)).await;
    store.stored(event("next", Some("s"), 1)).await;
    for key in ["ignored", "dead", "waiting"] {
        let id = store.named(key).await.id;
        let mut wakeups = store.wakeups();
        wakeups.mark_unchanged();
        store.discard(id, &note(), at(100)).await.expect("discarded");
        wakeups.changed().await.expect("others of its session may be claimable");
        let event = store.named(key).await;
        assert_eq!((event.state, event.settled_at), (EventState::Discarded, Some(at(100))));
        assert_eq!(event.note.as_deref(), Some("the bug is fixed"));
        let entry = store.audit(PageRequest::first()).await.expect("listed").items.pop().expect("an entry");
        assert_eq!((entry.event, entry.idempotency_key.as_str()), (id, key));
        assert_eq!((entry.action, entry.note, entry.at), (AuditAction::Discarded, note(), at(100)));
    }
    assert_eq!(store.claimed_keys(1_000).await, ["next"], "it no longer waits for the discarded event");
}

pub async fn discard_refuses_an_event_that_runs_or_is_done<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("done", EventState::Done, 0).await;
    store.ends("discarded", EventState::Discarded, 0).await;
    store.stored(lone("running")).await;
    store.claimed_one(0).await;
    let entries = async || store.audit(PageRequest::first()).await.expect("listed").items.len();
    let (before, audited) = (store.all().await, entries().await);
    for event in &before {
        let error = store.discard(event.id, &note(), at(1)).await.expect_err(event.state.as_str());
        assert_eq!(error.kind(), StoreErrorKind::NotDiscardable);
    }
    let absent = RowId::new(before[0].id.get() + 1_000_000);
    let error = store.discard(absent, &note(), at(1)).await.expect_err("absent");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!((store.all().await, entries().await), (before, audited));
}

pub async fn discard_matching_discards_the_events_of_a_page<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for state in [EventState::Done, EventState::Ignored, EventState::Dead] {
        store.ends(state.as_str(), state, 0).await;
    }
    store.stored(event("running", Some("s"), 1)).await;
    let running = store.claimed_one(1).await;
    store.stored(event("waiting", Some("s"), 2)).await;
    let query = EventQuery {
        endpoint: Some("main".into()),
        page: PageRequest { limit: 4, ..PageRequest::first() },
        ..EventQuery::default()
    };
    let page = store.discard_matching(&query, &note(), at(3)).await.expect("discarded");
    assert_eq!(page.items.len(), 2, "the ignored and the dead event");
    let rest = EventQuery { page: PageRequest { after: page.next, ..query.page }, ..query };
    assert_eq!(store.discard_matching(&rest, &note(), at(3)).await.expect("discarded").items.len(), 1);
    let states: Vec<EventState> = store.all().await.iter().map(|event| event.state).collect();
    let discarded = EventState::Discarded;
    assert_eq!(states, [EventState::Done, discarded, discarded, EventState::Running, discarded]);
    store.done(running.lease).await;
    assert!(store.claimed(1_000_000).await.is_empty(), "nothing is left of the session");

    // A group of dead letters, and no other events.
    for (key, error) in [("x", "one"), ("y", "two"), ("z", "one")] {
        store.stored(lone(key)).await;
        let lease = store.claimed_one(10).await.lease;
        store.fail(lease, &final_failure(error), at(10)).await.expect("recorded");
    }
    let groups = store.dead_letters().await.expect("grouped");
    let group = groups.iter().find(|group| group.key.error.as_deref() == Some("one")).expect("a group");
    let query = EventQuery { dead_letter: Some(group.key.clone()), ..EventQuery::default() };
    let keys: Vec<String> =
        store.events(&query).await.expect("listed").items.into_iter().map(key_of_event).collect();
    assert_eq!(keys, ["x", "z"]);
    assert_eq!(store.discard_matching(&query, &note(), at(11)).await.expect("discarded").items.len(), 2);
    assert_eq!(store.named("y").await.state, EventState::Dead);
}

pub async fn discard_matching_refuses_an_empty_query<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let error =
        store.discard_matching(&EventQuery::default(), &note(), at(1)).await.expect_err("every event");
    assert_eq!(error.kind(), StoreErrorKind::EmptyQuery);
    assert_eq!(store.only().await.state, EventState::Waiting);
}

pub async fn discard_lets_later_events_of_the_session_run<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("first", Some("s"), 0)).await;
    let first = store.claimed_one(0).await;
    store.fail(first.lease, &retry("no", 60_000), at(0)).await.expect("recorded");
    store.stored(event("second", Some("s"), 1)).await;
    assert!(store.claimed(2).await.is_empty(), "the first holds it back");
    store.discard(first.lease.event, &note(), at(3)).await.expect("discarded");
    assert_eq!(store.claimed_keys(3).await, ["second"]);
}
