//! Gaps that are found and close, together with what the application writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaas_core::store::{PageRequest, StoreErrorKind, TxWork};
use jaas_core::watch::{GapChange, GapCount, GapQuery, GapState, GapStore, Rule};
use jaas_core::{Fqn, Handled, HandlerError};

use super::support::{
    FQN, LEASE, MINUTE, at, changed, claimed_one, found, gap, listed, new, recorded, recorded_with, session,
};
use crate::conformance::{DurableHarness, Harness};

pub async fn record_is_part_of_the_transaction<H: DurableHarness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    let failed = Err(HandlerError::retry("not today"));
    let (result, added) = recorded_with(&store, new("s-1", &["a"], 0), failed).await;
    assert_eq!((result.is_err(), added), (true, 1));
    assert!(store.watched(&session("s-1")).await.expect("read").sightings.is_empty());
    assert_eq!(store.next_session(at(0)).await.expect("looked up"), None);
}

pub async fn change_commits_effects_and_gap_together<H: DurableHarness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let lease = claimed_one(&store, 15 * MINUTE).await.lease;
    let work = |row: &'static str, failed: bool| -> TxWork<_> {
        Box::new(move |tx| {
            Box::pin(async move {
                H::write(tx, row).await?;
                if failed { Err(HandlerError::retry("not today")) } else { Ok(Handled::Done) }
            })
        })
    };
    let change = GapChange::Found(gap("s-1", Rule::RecordingNotUploaded, "a"));
    let now = at(15 * MINUTE);
    store.change_gap(&lease, &change, now, work("no", true)).await.expect("run").expect_err("failed");
    assert!(harness.written().await.is_empty());
    assert!(listed(&store).await.is_empty());
    store.change_gap(&lease, &change, now, work("found", false)).await.expect("run").expect("handled");
    assert_eq!(harness.written().await, ["found"]);
    let record = harness.reopened().await.gaps(&GapQuery::default()).await.expect("listed").items.remove(0);
    assert_eq!((record.state, record.found_at), (GapState::Open, now));
    let change = GapChange::Closed(record.id);
    store.change_gap(&lease, &change, now, work("no", true)).await.expect("run").expect_err("failed");
    assert_eq!(listed(&store).await[0].state, GapState::Open);
    store.change_gap(&lease, &change, now, work("closed", false)).await.expect("run").expect("handled");
    assert_eq!(harness.written().await, ["found", "closed"]);
}

pub async fn change_rolls_back_when_the_work_fails<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let lease = claimed_one(&store, 15 * MINUTE).await.lease;
    let failing = async |change: &GapChange| {
        let work: TxWork<_> = Box::new(|_| Box::pin(async { Err(HandlerError::retry("not today")) }));
        let result = store.change_gap(&lease, change, at(16 * MINUTE), work).await.expect("run");
        assert!(result.expect_err("failed").to_string().contains("not today"));
    };
    let one = gap("s-1", Rule::RecordingNotUploaded, "a");
    failing(&GapChange::Found(one.clone())).await;
    assert!(listed(&store).await.is_empty());
    found(&store, &lease, one, 16 * MINUTE).await;
    let before = listed(&store).await.remove(0);
    failing(&GapChange::Closed(before.id)).await;
    assert_eq!(listed(&store).await, [before]);
}

pub async fn change_refuses_a_stale_lease<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let stale = claimed_one(&store, 15 * MINUTE).await.lease;
    let live = claimed_one(&store, 15 * MINUTE + LEASE).await.lease;
    let one = GapChange::Found(gap("s-1", Rule::RecordingNotUploaded, "a"));
    refused(&store, &stale, &one).await;
    changed(&store, &live, &one, 17 * MINUTE).await.expect("recorded").expect("handled");
    let closed = GapChange::Closed(listed(&store).await[0].id);
    refused(&store, &stale, &closed).await;
    assert_eq!(listed(&store).await[0].state, GapState::Open);
}

/// The change is refused, and the work is not run.
async fn refused<S: GapStore>(store: &S, lease: &jaas_core::watch::SessionLease, change: &GapChange) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let work: TxWork<S::Tx> = Box::new(move |_| {
        Box::pin(async move {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Handled::Done)
        })
    });
    let error = store.change_gap(lease, change, at(17 * MINUTE), work).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

pub async fn change_reports_each_gap_once<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    recorded(&store, new("s-1", &["a"], 0)).await;
    let lease = claimed_one(&store, 15 * MINUTE).await.lease;
    let one = GapChange::Found(gap("s-1", Rule::RecordingNotUploaded, "a"));
    changed(&store, &lease, &one, 16 * MINUTE).await.expect("recorded").expect("handled");
    refused(&store, &lease, &one).await;
    found(&store, &lease, gap("s-1", Rule::RecordingNotUploaded, "b"), 16 * MINUTE).await;
    found(&store, &lease, gap("s-1", Rule::RecordingNotStarted, "a"), 16 * MINUTE).await;
    let closed = GapChange::Closed(listed(&store).await[0].id);
    changed(&store, &lease, &closed, 17 * MINUTE).await.expect("recorded").expect("handled");
    refused(&store, &lease, &closed).await;
    refused(&store, &lease, &one).await;
    let record = listed(&store).await.remove(0);
    assert_eq!((record.state, record.closed_at), (GapState::Closed, Some(at(17 * MINUTE))));
    assert_eq!(store.watched(&session("s-1")).await.expect("read").gaps.len(), 3);
}

/// Two sessions with gaps, in two rooms: a and b, then c, of which a has closed.
async fn three_gaps<S: GapStore + Clone>(store: &S) {
    let mut other = new("s-2", &["c"], 1);
    other.fqn = Fqn::new("vpaas-magic-cookie-2/math room");
    recorded(store, new("s-1", &["a", "b"], 0)).await;
    let lease = claimed_one(store, 15 * MINUTE).await.lease;
    found(store, &lease, gap("s-1", Rule::RecordingNotUploaded, "a"), 16 * MINUTE).await;
    let mut stay = gap("s-1", Rule::StayNotLeft, "b");
    stay.participant_id = Some(jaas_core::ParticipantId::new("3988218d"));
    found(store, &lease, stay, 16 * MINUTE).await;
    recorded(store, other.clone()).await;
    let lease = claimed_one(store, 15 * MINUTE + 1).await.lease;
    let mut third = gap("s-2", Rule::RecordingNotUploaded, "c");
    third.fqn = other.fqn;
    found(store, &lease, third, 16 * MINUTE).await;
    let lease = claimed_one(store, 15 * MINUTE + LEASE).await.lease;
    let closed = GapChange::Closed(listed(store).await[0].id);
    changed(store, &lease, &closed, 17 * MINUTE).await.expect("recorded").expect("handled");
}

pub async fn gaps_are_listed_in_pages_and_filtered<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    three_gaps(&store).await;
    let subjects = async |query: GapQuery| {
        let items = store.gaps(&query).await.expect("listed").items;
        items.into_iter().map(|record| record.gap.subject).collect::<Vec<_>>()
    };
    let all = GapQuery::default();
    assert_eq!(subjects(all.clone()).await, ["a", "b", "c"]);
    assert_eq!(subjects(GapQuery { page: PageRequest::newest(), ..all.clone() }).await, ["c", "b", "a"]);
    assert_eq!(subjects(GapQuery { state: Some(GapState::Open), ..all.clone() }).await, ["b", "c"]);
    assert_eq!(subjects(GapQuery { state: Some(GapState::Closed), ..all.clone() }).await, ["a"]);
    assert_eq!(
        subjects(GapQuery { rule: Some(Rule::RecordingNotUploaded), ..all.clone() }).await,
        ["a", "c"]
    );
    assert_eq!(subjects(GapQuery { session_id: Some(session("s-1")), ..all.clone() }).await, ["a", "b"]);
    let in_room = |fqn: &str| GapQuery { room: Some(Fqn::new(fqn)), ..GapQuery::default() };
    assert_eq!(subjects(in_room(FQN)).await, ["a", "b"]);
    assert_eq!(subjects(in_room("vpaas-magic-cookie-2/MATH%20room")).await, ["c"]);
    assert_eq!(subjects(in_room("math room")).await, ["a", "b", "c"], "of any tenant");

    let page = PageRequest { limit: 2, ..PageRequest::newest() };
    let first = store.gaps(&GapQuery { page, ..all.clone() }).await.expect("listed");
    let rest = PageRequest { after: first.next, ..page };
    assert_eq!(first.items.len(), 2);
    assert_eq!(subjects(GapQuery { page: rest, ..all.clone() }).await, ["a"]);
    let stay = first.items.iter().find(|record| record.gap.rule == Rule::StayNotLeft).expect("listed");
    assert_eq!(stay.gap.participant_id, Some(jaas_core::ParticipantId::new("3988218d")));
    assert_eq!((stay.gap.seen_at, stay.gap.due_at), (at(0), at(15 * MINUTE)));
    let json = serde_json::to_value(stay).expect("serialised");
    assert_eq!((&json["rule"], &json["state"]), (&"stay_not_left".into(), &"open".into()));
}

pub async fn counts_are_of_open_gaps_by_rule<H: Harness<Store: GapStore>>() {
    let harness = H::start().await;
    let store = harness.store();
    assert_eq!(store.gap_counts().await.expect("counted"), []);
    three_gaps(&store).await;
    let counts = [GapCount::new(Rule::RecordingNotUploaded, 1), GapCount::new(Rule::StayNotLeft, 1)];
    assert_eq!(store.gap_counts().await.expect("counted"), counts);
}
