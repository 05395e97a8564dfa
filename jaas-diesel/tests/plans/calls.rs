//! The calls that run for each event.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use jaas_core::Handled;
use jaas_core::store::{
    Accepted, AuditNote, Claim, Completion, EventAdmin, EventState, Failure, Lease, NextClaim, SessionOrder,
    Step,
};
use jaas_core::watch::GapStore;

use crate::fill::{LATER, LONG, LONG_SESSION, OTHERS};
use crate::servers::{joined_at, now, request, work};
use crate::watching::watching;

/// How many events are listed behind a claim.
const FOLLOWING: usize = 8;

/// Measures how many rows a call reads.
pub(crate) trait Meter {
    /// Begins a measurement.
    async fn start(&mut self);

    /// Fails if the statements since the start read more rows than a call for `n` sessions or events may read.
    async fn check(&mut self, call: &str, n: usize);

    /// Begins to measure lists, which are not on the road of each event.
    fn read_lists(&mut self);

    /// What was wrong with lists since they are measured. The road of each event fails immediately.
    fn failures(&mut self) -> Vec<String>;

    /// Makes the long session due before all others.
    async fn put_long_first(&mut self);

    /// Makes and measures a call for `n` sessions or events; returns its result.
    async fn call<T, E: Debug>(
        &mut self,
        call: &str,
        n: usize,
        result: impl Future<Output = Result<T, E>>,
    ) -> T {
        self.start().await;
        let returned = result.await.expect(call);
        self.check(call, n).await;
        returned
    }
}

/// Makes the calls of a receiver and a worker in a filled inbox. Afterwards the inbox is as before, except for a few events.
pub(crate) async fn hot_road<S: EventAdmin + GapStore + Clone>(
    store: &S,
    meter: &mut impl Meter,
    round: &str,
) {
    accepting(store, meter, round).await;
    meter.call("ping", 1, store.ping()).await;
    going_on(store, meter).await;
    several_at_once(store, meter).await;
    after_a_crash(store, meter).await;
    watching(store, meter, round).await;
    let stats = meter.call("stats", 20, store.stats()).await;
    assert!(stats.count(EventState::Waiting) > (LONG + OTHERS + LATER - 500) as u64, "{stats:?}");
}

async fn accepting<S: EventAdmin + Clone>(store: &S, meter: &mut impl Meter, round: &str) {
    let of = |name: &str, session: Option<&str>, body: &str| {
        joined_at(&format!("{name} {round}"), session, jaas_core::Timestamp::from_millis(400_000), body)
    };
    for (name, session) in [("alone", None), ("new", Some(round)), ("late", Some(LONG_SESSION))] {
        let accepted = meter.call("accept", 1, store.accept(of(name, session, ""))).await;
        assert_eq!(accepted, Accepted::New);
        let accepted = meter.call("accept again", 1, store.accept(of(name, session, ""))).await;
        assert_eq!(accepted, Accepted::Duplicate);
        let accepted = meter.call("accept a conflict", 1, store.accept(of(name, session, "other"))).await;
        assert_eq!(accepted, Accepted::Conflict);
    }
    let together = (0..32).map(|number| {
        let delivery = of(&format!("together {number}"), Some(&format!("{round} {}", number % 8)), "");
        let store = store.clone();
        tokio::spawn(async move { store.accept(delivery).await })
    });
    let together = async {
        for accepted in together.collect::<Vec<_>>() {
            assert_eq!(accepted.await.expect("no panic")?, Accepted::New);
        }
        Ok::<_, jaas_core::store::StoreError>(())
    };
    meter.call("accept many", 32, together).await;
}

fn step(last: bool) -> Step {
    let next = NextClaim { lease: Duration::from_secs(15), order: SessionOrder::default(), following: 0 };
    Step { handler: "handler".into(), last, next: Some(next) }
}

fn failure(passable: bool, retry_in: Duration) -> Failure {
    Failure { error: "failed".into(), retry_in: Some(retry_in), passable, next: step(true).next }
}

/// Runs a part of the long session under one claim.
async fn going_on<S: EventAdmin>(store: &S, meter: &mut impl Meter) {
    meter.put_long_first().await;
    let claim = meter.call("claim", 1, store.claim(&request(1))).await.pop().expect("one is due");
    let event = store.event(claim.lease.event).await.expect("looked up").expect("stored");
    assert_eq!(event.session_id.expect("a session").as_str(), LONG_SESSION);
    let done = Handled::Done;
    let next = meter.call("complete", 1, store.complete(claim.lease, &step(true), &done, now())).await;
    let lease = next.expect("more waits").lease;
    let passed = lease.event;
    let failed = failure(true, Duration::from_secs(3600));
    let next = meter.call("fail", 1, store.fail(lease, &failed, now())).await;
    let lease = next.expect("others may pass it").lease;
    let handler = work(|_: &mut S::Tx| Box::pin(async { Ok(Handled::Done) }));
    let (_, next) = meter.call("run", 1, store.run(lease, &step(true), now(), handler)).await;
    let lease = next.expect("more waits").lease;
    let next = meter.call("complete a part", 1, store.complete(lease, &step(false), &done, now())).await;
    assert!(next.is_none());
    let ignored = Handled::Ignored("of no interest".into());
    let next = meter.call("ignore", 1, store.complete(lease, &step(true), &ignored, now())).await;
    let lease = next.expect("more waits").lease;
    let failed = failure(false, Duration::ZERO);
    let again = meter.call("fail and hold", 1, store.fail(lease, &failed, now())).await;
    let again = again.expect("it is due").lease;
    assert_eq!(again.event, lease.event);
    // The passable event is discarded; otherwise nothing would be listed behind a claim.
    store.discard(passed, &AuditNote::new("operator", "of no use"), now()).await.expect("discarded");
    let next = step(true).next.map(|next| NextClaim { following: FOLLOWING, ..next });
    let listing = Step { next, ..step(true) };
    let claim =
        meter.call("complete and list", FOLLOWING, store.complete(again, &listing, &done, now())).await;
    let claim = claim.expect("more waits");
    assert_eq!(claim.following.len(), FOLLOWING);
    let completions: Vec<Completion> = std::iter::once(&claim)
        .chain(&claim.following)
        .map(|claim| Completion { lease: claim.lease, handled: vec![("handler".into(), Handled::Done)] })
        .collect();
    let all = store.complete_all(claim.lease, &completions, next, now());
    let next = meter.call("complete what was run ahead", 2 * FOLLOWING, all).await;
    let lease = next.expect("more waits").lease;
    meter.call("release", 1, store.release(&[lease], now())).await;
}

fn leases(claims: &[Claim]) -> Vec<Lease> {
    claims.iter().map(|claim| claim.lease).collect()
}

async fn several_at_once<S: EventAdmin>(store: &S, meter: &mut impl Meter) {
    let claims = leases(&meter.call("claim many", 20, store.claim(&request(20))).await);
    assert_eq!(claims.len(), 20);
    let lost = meter.call("renew", 20, store.renew(&claims, now(), Duration::from_secs(15))).await;
    assert_eq!(lost, []);
    let due = meter.call("next_due", 20, store.next_due(now())).await;
    assert!(due.held_back, "{due:?}");
    meter.call("stats", 20, store.stats()).await;
    let (one_half, other_half) = claims.split_at(10);
    meter.call("give_back", 10, store.give_back(one_half, now())).await;
    meter.call("release", 10, store.release(other_half, now())).await;
}

async fn after_a_crash<S: EventAdmin>(store: &S, meter: &mut impl Meter) {
    let mut short = request(8);
    short.lease = Duration::from_millis(1);
    let crashed = meter.call("claim", 8, store.claim(&short)).await;
    assert_eq!(crashed.len(), 8);
    // The leases end by the database's clock, which the test cannot set.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let claims = leases(&meter.call("take over", 16, store.claim(&request(8))).await);
    assert_eq!(claims.len(), 8);
    let mut suspects = Vec::new();
    for claim in &claims {
        if store.event(claim.event).await.expect("looked up").expect("stored").crashes > 0 {
            suspects.push(*claim);
        }
    }
    assert_eq!(suspects.len(), 1, "one of those that crashed runs");
    let others: Vec<Lease> = claims.into_iter().filter(|claim| !suspects.contains(claim)).collect();
    meter.call("give_back", 7, store.give_back(&others, now())).await;
    for _ in 0..8 {
        let suspect = suspects.pop().expect("one runs");
        let last = step(true);
        let completed = store.complete(suspect, &last, &Handled::Done, now());
        let next = meter.call("complete a suspect", 1, completed).await;
        assert!(next.is_none(), "others that crashed have their turn");
        suspects = leases(&meter.call("claim a suspect", 1, store.claim(&request(1))).await);
    }
    meter.call("give_back", 1, store.give_back(&suspects, now())).await;
}
