//! What is listed and counted, what is due next, and what purging and erasing leave.

use jaas_core::archive::{ArtifactQuery, ArtifactState, ArtifactStore, LostWhy, Settling};
use jaas_core::meetings::TimePageRequest;
use jaas_core::signature::Tolerance;
use jaas_core::store::{AuditNote, EventAdmin, EventState, Keep, PageRequest, Retention, StoreErrorKind};

use super::support::{
    self, HOUR, LEASE, added, at, claimed, claimed_one, kept, listed, new, settled, uploaded_event,
};
use crate::conformance::Harness;

pub async fn at_risk_lists_what_was_not_reported<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, deadline) in [("k-1", 24), ("k-2", 20), ("k-3", 30), ("k-4", 19)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline * HOUR)]).await;
    }
    let claims = claimed(&store, 0, 10).await;
    let by_deadline =
        |hours: i64| claims.iter().find(|claim| claim.deadline == at(hours * HOUR)).expect("claimed").lease;
    store.keep_artifact(by_deadline(19), &kept()).await.expect("kept");
    // They are at risk 6 h before.
    let at_risk = async |hours: i64, limit| {
        let risks = store.artifacts_at_risk(at(hours * HOUR), limit).await.expect("listed");
        risks.iter().map(|risk| risk.lease.artifact).collect::<Vec<_>>()
    };
    assert!(at_risk(13, 10).await.is_empty());
    let both = [by_deadline(20).artifact, by_deadline(24).artifact];
    assert_eq!(at_risk(18, 10).await, both);
    assert_eq!(at_risk(18, 1).await, both[..1]);
    let risk = store.artifacts_at_risk(at(18 * HOUR), 1).await.expect("listed").remove(0);
    assert_eq!(risk.body, uploaded_event("k-2", None, 0).body());
    settled(&store, Settling::AtRisk(both[0]), 18 * HOUR).await;
    assert_eq!(at_risk(18, 10).await, both[1..]);
}

pub async fn next_artifact_names_the_earliest_thing_to_do<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let next = async |millis| {
        let next = store.next_artifact(at(millis)).await.expect("found");
        next.map(|wait| wait.as_millis() as i64)
    };
    assert_eq!(next(0).await, None);
    added(&store, uploaded_event("k-1", None, 0), &[new("preAuthenticatedLink", 24 * HOUR)]).await;
    assert_eq!(next(0).await, Some(0));
    let lease = claimed_one(&store, 0).await.lease;
    assert_eq!(next(10).await, Some(LEASE.as_millis() as i64 - 10), "the end of the lease");
    store.postpone_artifact(lease, &support::postponed(20 * HOUR)).await.expect("postponed");
    assert_eq!(next(0).await, Some(18 * HOUR), "the risk, 6 h before the deadline");
    settled(&store, Settling::AtRisk(lease.artifact), 18 * HOUR).await;
    assert_eq!(next(18 * HOUR).await, Some(2 * HOUR));
    let lease = claimed_one(&store, 20 * HOUR).await.lease;
    store.keep_artifact(lease, &kept()).await.expect("kept");
    settled(&store, Settling::Stored(lease), 20 * HOUR).await;
    assert_eq!(next(20 * HOUR).await, None);
}

pub async fn artifacts_are_listed_in_pages_and_filtered<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for number in 0..5 {
        let session = if number < 3 { "s-1" } else { "S-1" };
        let event = uploaded_event(&format!("k-{number}"), Some(session), 0);
        added(&store, event, &[new("preAuthenticatedLink", (number + 1) * HOUR)]).await;
    }
    let all = listed(&store).await;
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    let mut page =
        ArtifactQuery { page: PageRequest { limit: 2, ..PageRequest::newest() }, ..ArtifactQuery::default() };
    let mut found = Vec::new();
    loop {
        let part = store.artifacts(&page).await.expect("listed");
        found.extend(part.items);
        let Some(next) = part.next else { break };
        page.page.after = Some(next);
    }
    found.reverse();
    assert_eq!(found, all);
    let count = async |query: ArtifactQuery| store.artifacts(&query).await.expect("listed").items.len();
    let none = ArtifactQuery::default();
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    assert_eq!(count(ArtifactQuery { session_id: Some("s-1".into()), ..none.clone() }).await, 3);
    assert_eq!(count(ArtifactQuery { event: Some(all[4].event), ..none.clone() }).await, 1);
    assert_eq!(count(ArtifactQuery { state: Some(ArtifactState::Running), ..none.clone() }).await, 1);
    assert_eq!(count(ArtifactQuery { state: Some(ArtifactState::Waiting), ..none.clone() }).await, 4);
    let gone = Settling::Lost { lease, why: LostWhy::Gone, error: Some("404".to_owned()) };
    settled(&store, gone, 5).await;
    let lost = ArtifactQuery { state: Some(ArtifactState::Lost), ..none };
    let record = store.artifacts(&lost).await.expect("listed").items.remove(0);
    assert_eq!((record.why, record.error.as_deref()), (Some(LostWhy::Gone), Some("404")));
    assert_eq!(record.settled_at, Some(at(5)));
}

pub async fn open_artifacts_are_listed_by_deadline_in_pages<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (number, hours) in [5, 3, 7, 3, 3, 1].into_iter().enumerate() {
        let event = uploaded_event(&format!("k-{number}"), None, 0);
        added(&store, event, &[new("preAuthenticatedLink", hours * HOUR)]).await;
    }
    // One runs, one is settled, one waits for its next attempt, and the others are due.
    let leases: Vec<_> = claimed(&store, 0, 3).await.iter().map(|claim| claim.lease).collect();
    settled(&store, Settling::Lost { lease: leases[0], why: LostWhy::Gone, error: None }, 5).await;
    store.postpone_artifact(leases[1], &support::postponed(2 * HOUR)).await.expect("postponed");
    let mut page = TimePageRequest { after: None, limit: 2 };
    let mut pages = Vec::new();
    loop {
        let part = store.open_artifacts(&page).await.expect("listed");
        pages.push(part.items);
        let Some(next) = part.next else { break };
        page.after = Some(next);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let mut expected: Vec<_> =
        listed(&store).await.into_iter().filter(|one| one.settled_at.is_none()).collect();
    expected.sort_by_key(|record| (record.deadline, record.id));
    assert_eq!(pages.concat(), expected);
    assert_eq!(
        expected.iter().map(|record| record.deadline).collect::<Vec<_>>(),
        [3, 3, 3, 5, 7].map(|hours| at(hours * HOUR))
    );
}

pub async fn stats_count_what_waits<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let stats = async || {
        let stats = store.artifact_stats().await.expect("counted");
        (stats.open, stats.oldest_deadline)
    };
    assert_eq!(stats().await, (0, None));
    for (key, deadline) in [("k-1", 3), ("k-2", 1), ("k-3", 2)] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", deadline * HOUR)]).await;
    }
    assert_eq!(stats().await, (3, Some(at(HOUR))));
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    assert_eq!(stats().await, (3, Some(at(HOUR))), "one that is being fetched counts");
    settled(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    assert_eq!(stats().await, (2, Some(at(2 * HOUR))));
}

pub async fn purge_leaves_an_event_whose_artifact_waits<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["k-1", "k-2"] {
        added(&store, uploaded_event(key, None, 0), &[new("preAuthenticatedLink", 240 * HOUR)]).await;
    }
    let lease = claimed(&store, 0, 1).await.remove(0).lease;
    settled(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    let retention = Retention::builder(Tolerance::default()).events(EventState::Done, Keep::days(2)).build();
    let retention = retention.expect("long enough");
    let purge =
        async |days: i64| store.purge(&retention, at(days * 24 * HOUR), 100).await.expect("purged").events;
    assert_eq!(purge(5).await, 1, "the one whose artifact is settled");
    let left = listed(&store).await;
    assert_eq!(left.iter().map(|record| record.state).collect::<Vec<_>>(), [ArtifactState::Waiting]);
    let lease = claimed_one(&store, 5 * 24 * HOUR).await.lease;
    assert_eq!(purge(5).await, 0, "while it is being fetched");
    settled(&store, Settling::Lost { lease, why: LostWhy::Gone, error: None }, 5).await;
    assert_eq!(purge(5).await, 1);
    assert!(listed(&store).await.is_empty());
}

pub async fn erase_session_ends_the_artifacts_that_wait<H: Harness<Store: ArtifactStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, session, deadline) in
        [("k-1", "s-1", 1), ("k-2", "s-1", 2), ("k-3", "s-1", 3), ("k-4", "s-2", 4)]
    {
        added(&store, uploaded_event(key, Some(session), 0), &[new("preAuthenticatedLink", deadline * HOUR)])
            .await;
    }
    let stored = claimed(&store, 0, 1).await.remove(0).lease;
    store.keep_artifact(stored, &kept()).await.expect("kept");
    settled(&store, Settling::Stored(stored), 1).await;
    let running = claimed(&store, 0, 1).await.remove(0).lease;
    // In the sink, and the application's handler has not recorded it.
    store.keep_artifact(running, &kept()).await.expect("kept");
    let note = AuditNote::new("operator", "asked to");
    assert_eq!(store.erase_session(&"s-1".into(), &note, at(5)).await.expect("erased"), 3);
    let states: Vec<_> = listed(&store).await.iter().map(|record| record.state).collect();
    let (ended, waiting) = (ArtifactState::Ended, ArtifactState::Waiting);
    assert_eq!(states, [ArtifactState::Stored, ended, ended, waiting]);
    let objects: Vec<_> = listed(&store).await.into_iter().map(|record| record.kept.is_some()).collect();
    assert_eq!(objects, [true, true, false, false], "what is in the sink can be found and deleted");
    for error in [
        store.keep_artifact(running, &kept()).await.expect_err("erased"),
        support::try_settle(&store, Settling::Stored(running), 6).await.expect_err("erased"),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Erased);
    }
    assert_eq!(store.renew_artifacts(&[running], at(6), LEASE).await.expect("renewed"), [running]);
    assert!(
        store
            .artifacts_at_risk(at(HOUR), 10)
            .await
            .expect("listed")
            .iter()
            .all(|risk| risk.deadline == at(4 * HOUR))
    );
    assert_eq!(claimed(&store, HOUR, 10).await.len(), 1, "only the one of the other session");
}
