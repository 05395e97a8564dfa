//! The calls of a watch.

use std::sync::{Arc, Mutex};

use jaas_core::store::{PageRequest, Step, StoreError, TxWork};
use jaas_core::watch::{
    Gap, GapChange, GapQuery, GapState, GapStore, NewSightings, Rule, Seen, SessionClaimRequest, Sighting,
};
use jaas_core::{Fqn, Handled, HandlerError, SessionId, Timestamp};

use crate::calls::Meter;
use crate::servers::{now, request, work};

/// The statements that fill the tables with ten thousand sessions, of which each has an open gap and one that has
/// closed. The text is the same for each database.
pub(crate) fn statements() -> Vec<String> {
    let digits: Vec<String> = (0..4).map(|n| format!("d{n}.d * {}", 10_i64.pow(n))).collect();
    let tables: Vec<String> = (0..4).map(|n| format!("plan_digits d{n}")).collect();
    let numbers =
        format!("(SELECT {} AS n FROM {}) numbers", digits.join(" + "), tables.join(" CROSS JOIN "));
    let mut statements = vec![
        format!(
            "INSERT INTO jaas_watched (session_id, fqn, last_seen_at, version, due_at, open_gaps) \
             SELECT concat('w', n), 'app/room', n, 1, CASE WHEN n % 2 = 0 THEN NULL ELSE 9000000000000 + n END, 1 FROM {numbers}"
        ),
        format!(
            "INSERT INTO jaas_sightings (session_id, what, slot, place, presence, via, happened_at, recorded_at) \
             SELECT concat('w', n % 5000), 'joined', concat('k', n), 'main', 'p', 'participant', n, n FROM {numbers}"
        ),
    ];
    for (rule, state) in [("stay_not_left", "closed"), ("recording_not_uploaded", "open")] {
        statements.push(format!(
            "INSERT INTO jaas_gaps (session_id, rule, subject, tenant, room, fqn, seen_at, due_at, found_at, state) \
             SELECT concat('w', n), '{rule}', concat('k', n), 'app', concat('room', n), 'app/room', n, n, n, '{state}' \
             FROM {numbers}"
        ));
    }
    statements
}

/// Records, audits and lists. Afterwards the tables are as before, except for a few rows.
pub(crate) async fn watching<S: GapStore + Clone>(store: &S, meter: &mut impl Meter, round: &str) {
    let session = SessionId::new(format!("watched {round}"));
    let at = now();
    let new = NewSightings {
        session: session.clone(),
        fqn: Fqn::new("app/another"),
        sightings: vec![Sighting::new(Seen::RecordingEnded, "key", at, at)],
        now: at,
        due_at: Timestamp::from_millis(1),
    };
    record(store, meter, &new).await;
    let mut ask = SessionClaimRequest::new("auditor", at, 1);
    ask.lease = std::time::Duration::from_secs(60);
    let endpoint = NewSightings {
        session: SessionId::new("endpoint:main"),
        sightings: vec![Sighting::new(Seen::Heard, "hour", at, at)],
        due_at: Timestamp::from_millis(9_000_000_000_000),
        ..new.clone()
    };
    meter.call("record endpoint", 1, store.record_endpoint(&endpoint, Timestamp::from_millis(1))).await;
    let claim = meter.call("claim sessions", 1, store.claim_sessions(&ask)).await.pop().expect("one is due");
    assert_eq!(claim.lease.session, session);
    let watched = meter.call("watched", 1, store.watched(&session)).await;
    assert_eq!(watched.sightings.len(), 1);
    let gap = Gap::new(Rule::RecordingNotUploaded, session.clone(), new.fqn.clone(), "key", at, at);
    change(store, meter, &claim.lease, &GapChange::Found(gap)).await;
    let of_session = GapQuery { session_id: Some(session), ..GapQuery::default() };
    let found = meter.call("gaps of a session", 1, store.gaps(&of_session)).await.items.remove(0);
    change(store, meter, &claim.lease, &GapChange::Closed(found.id)).await;
    meter.call("finish sessions", 1, store.finish_sessions(&[(claim, None)], at)).await;
    assert!(meter.call("next session", 1, store.next_session(at)).await.is_some());

    let page = PageRequest { limit: 10, ..PageRequest::newest() };
    for (what, query) in [
        ("open gaps", GapQuery { state: Some(GapState::Open), ..GapQuery::default() }),
        (
            "open gaps of a rule",
            GapQuery {
                state: Some(GapState::Open),
                rule: Some(Rule::RecordingNotUploaded),
                ..GapQuery::default()
            },
        ),
        ("gaps of a room", GapQuery { room: Some(Fqn::new("app/room7")), ..GapQuery::default() }),
    ] {
        let listed = meter.call(what, 11, store.gaps(&GapQuery { page, ..query })).await.items.len();
        assert!(listed == 10 || (listed == 2 && what == "gaps of a room"), "{what}: {listed}");
    }
}

/// Records in the transaction in which an event is handled.
async fn record<S: GapStore + Clone>(store: &S, meter: &mut impl Meter, new: &NewSightings) {
    let claim = store.claim(&request(1)).await.expect("claimed").pop().expect("one is due");
    let (recording, new) = (store.clone(), new.clone());
    let recorded = Arc::new(Mutex::new(0));
    let count = recorded.clone();
    let work: TxWork<S::Tx> = Box::new(move |tx| {
        Box::pin(async move {
            let added = recording.record_sightings(tx, &new).await.map_err(HandlerError::retry)?;
            *count.lock().expect("not poisoned") = added;
            recording.touch_session(tx, &new.session, now()).await.map_err(HandlerError::retry)?;
            Ok(Handled::Done)
        })
    });
    let step = Step { handler: "watch".into(), last: true, next: None };
    meter.call("record", 2, store.run(claim.lease, &step, now(), work)).await.0.expect("handled");
    assert_eq!(*recorded.lock().expect("not poisoned"), 1);
}

async fn change<S: GapStore>(
    store: &S,
    meter: &mut impl Meter,
    lease: &jaas_core::watch::SessionLease,
    change: &GapChange,
) {
    let handler = work(|_: &mut S::Tx| Box::pin(async { Ok(Handled::Done) }));
    let changed = async {
        Ok::<_, StoreError>(store.change_gap(lease, change, now(), handler).await?.expect("handled"))
    };
    meter.call("change a gap", 1, changed).await;
}
