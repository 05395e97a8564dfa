//! Many concurrent callers, of one store and of several on the same database.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::store::{Accepted, Claim, EventAdmin, EventState, EventStore as _, Lease, RowId};
use jaas_core::{Delivery, SessionId};
use tokio::time::sleep;

use super::Harness;
use super::support::*;

/// Lets others get in between.
const A_MOMENT: Duration = Duration::from_millis(1);

pub async fn accept_is_safe_for_concurrent_calls<H: Harness>() {
    let harness = H::start().await;
    let mut calls = Vec::new();
    for copy in 0..8 {
        for key in 0..50 {
            let store = harness.store();
            // Among equal bodies, each tenth key has a different one.
            let body = event(&format!("k{key}"), None, i64::from(key % 10 == 0 && copy % 4 == 3));
            calls.push((key, tokio::spawn(async move { store.accept(body).await.expect("accepted") })));
        }
    }
    let mut answers: HashMap<(i32, &str), usize> = HashMap::new();
    for (key, call) in calls {
        let answer = match call.await.expect("no panic") {
            Accepted::New => "new",
            Accepted::Duplicate => "duplicate",
            _ => "conflict",
        };
        *answers.entry((key, answer)).or_default() += 1;
    }
    for key in 0..50 {
        let count = |answer| answers.get(&(key, answer)).copied().unwrap_or(0);
        assert_eq!(count("new"), 1, "of key {key}");
        if key % 10 != 0 {
            assert_eq!(count("duplicate"), 7, "of key {key}");
        } else {
            // Whichever body came first: six others equal it, or two.
            assert!([(5, 2), (1, 6)].contains(&(count("duplicate"), count("conflict"))), "of key {key}");
        }
    }
    let keys: BTreeSet<String> = harness.store().keys().await.into_iter().collect();
    assert_eq!((harness.store().all().await.len(), keys.len()), (50, 50));
    assert_eq!(harness.store().stats().await.expect("counted").conflicts, 5);
}

pub async fn claim_is_safe_for_concurrent_calls<H: Harness>() {
    let harness = H::start().await;
    let running = Arc::new(Mutex::new(Running::default()));
    let mut accepts = Vec::new();
    for part in shuffled().chunks(SCRIPT / 2) {
        let (store, part) = (harness.store(), part.to_vec());
        accepts.push(tokio::spawn(async move {
            for delivery in part {
                store.stored(delivery).await;
            }
        }));
    }
    let workers = (0..6).map(|_| {
        let (store, running) = (harness.store(), running.clone());
        tokio::spawn(async move {
            while running.lock().expect("unpoisoned").done.len() < SCRIPT {
                let claims = store.claim(&request(1_000, 3)).await.expect("claimed");
                for claim in &claims {
                    running.lock().expect("unpoisoned").start(claim);
                }
                sleep(A_MOMENT).await;
                for claim in &claims {
                    // Recorded here first, because another worker may have the next event as soon as the store knows.
                    if running.lock().expect("unpoisoned").end(claim) {
                        store.done(claim.lease).await;
                    } else {
                        store.release(&[claim.lease], at(1_000)).await.expect("released");
                    }
                }
            }
        })
    });
    for task in accepts.into_iter().chain(workers.collect::<Vec<_>>()) {
        task.await.expect("no event ran twice or beside another event of its session");
    }
    let events = harness.store().all().await;
    assert_eq!(events.len(), SCRIPT);
    for event in events {
        assert_eq!((event.state, event.crashes, event.failures), (EventState::Done, 0, 0), "{:?}", event.id);
        assert_eq!(event.interruptions, u32::from(given_back(event.idempotency_key.as_str())));
    }
}

/// How many events there are.
const SCRIPT: usize = 64;

/// Events of few sessions that arrive in another order than they happened, some without a session.
fn shuffled() -> Vec<Delivery> {
    let mut events: Vec<_> = (0..SCRIPT)
        .map(|number| {
            let session = (number % 5 > 0).then(|| format!("s{}", number % 5));
            let mut delivery = event(&number.to_string(), session.as_deref(), (number * 37 % 64) as i64);
            delivery.received_at = at(0);
            delivery
        })
        .collect();
    events.sort_by_key(|delivery| delivery.body_hash());
    events
}

/// Whether the event is given back at its first claim.
fn given_back(key: &str) -> bool {
    key.ends_with('3')
}

/// What runs now, according to the workers.
#[derive(Default)]
struct Running {
    sessions: HashMap<SessionId, RowId>,
    fences: HashMap<RowId, i64>,
    events: BTreeSet<RowId>,
    done: BTreeSet<RowId>,
}

impl Running {
    fn start(&mut self, claim: &Claim) {
        let Lease { event, fence } = claim.lease;
        assert!(self.events.insert(event), "event {event} runs twice at the same time");
        assert!(!self.done.contains(&event), "event {event} runs again");
        let before = self.fences.insert(event, fence);
        assert!(before.is_none_or(|before| before < fence), "the fence of event {event} does not grow");
        if let Some(session) = session_of(claim) {
            let other = self.sessions.insert(session, event);
            assert_eq!(other, None, "beside event {event} of the same session");
        }
    }

    /// Returns whether the event is done, and not given back.
    fn end(&mut self, claim: &Claim) -> bool {
        self.events.remove(&claim.lease.event);
        if let Some(session) = session_of(claim) {
            self.sessions.remove(&session);
        }
        let done = claim.interruptions > 0 || !given_back(&key_of(claim));
        if done {
            self.done.insert(claim.lease.event);
        }
        done
    }
}

fn session_of(claim: &Claim) -> Option<SessionId> {
    delivery(String::from_utf8(claim.body.to_vec()).expect("UTF-8"), START).envelope.session_id
}
