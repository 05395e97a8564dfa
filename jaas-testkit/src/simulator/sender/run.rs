//! Sending.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jaas_core::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::report::{Latency, Report, Undelivered};
use super::target::{NoResponse, Target};
use super::{Progress, Sender, SignRepeats};
use crate::simulator::dice::Dice;

/// One delivery on its way.
struct Delivery {
    body: usize,
    dice: Dice,
    attempts: u32,
}

/// The result of one request.
struct Done {
    delivery: usize,
    outcome: Result<u16, NoResponse>,
    took: Duration,
}

pub(super) async fn run(sender: &Sender, target: &dyn Target, bodies: &[Bytes]) -> Report {
    let start = Instant::now();
    let plan = sender.plan(bodies.len());
    let mut report =
        Report::new(bodies.len(), plan.len(), fingerprint(plan.iter().map(|planned| &bodies[planned.body])));
    report.copies = plan.iter().filter(|planned| planned.is_copy).count();
    // A request that waits to be repeated does not count as in flight.
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> =
        plan.iter().enumerate().map(|(number, planned)| Reverse((start + planned.due, number))).collect();
    let mut deliveries: Vec<Delivery> = plan
        .iter()
        .enumerate()
        .map(|(number, planned)| Delivery {
            body: planned.body,
            // 0 is the plan's.
            dice: Dice::fork(sender.seed, number as u64 + 1),
            attempts: 0,
        })
        .collect();
    let mut first_signed: Vec<Option<Timestamp>> = vec![None; bodies.len()];
    let mut under_way = FuturesUnordered::new();
    let mut acknowledged = BTreeSet::new();
    let mut latencies = Vec::new();
    let mut over = 0;

    loop {
        while under_way.len() < sender.concurrency
            && let Some(Reverse((at, number))) = due.peek().copied()
            && at <= Instant::now()
        {
            due.pop();
            let delivery = &mut deliveries[number];
            delivery.attempts += 1;
            report.requests += 1;
            let drawn = delivery.draw(sender, &mut first_signed[delivery.body]);
            under_way.push(attempt(sender, target, &bodies[delivery.body], number, drawn));
        }
        let next = due.peek().map(|Reverse((at, _))| *at);
        let room = under_way.len() < sender.concurrency;
        let done = tokio::select! {
            Some(done) = under_way.next() => done,
            () = until(next), if room && next.is_some() => continue,
            else => break,
        };
        let delivery = &mut deliveries[done.delivery];
        if report.note(&done.outcome) {
            acknowledged.insert(delivery.body);
            report.acknowledged += 1;
            over += 1;
        } else if !sender.backoff.is_exhausted(delivery.attempts) {
            report.retries += 1;
            let wait = sender.backoff.delay(delivery.attempts, delivery.dice.next());
            due.push(Reverse((Instant::now() + wait, done.delivery)));
        } else {
            over += 1;
            report.undelivered.push(Undelivered::new(
                &bodies[delivery.body],
                delivery.attempts,
                done.outcome.clone(),
            ));
        }
        if done.outcome.is_ok() {
            latencies.push(done.took);
        }
        if let Some(callback) = &sender.progress {
            callback(Progress { planned: plan.len(), over, requests: report.requests });
        }
    }
    report.acknowledged_events = acknowledged.len();
    report.latency = Latency::of(latencies);
    report.elapsed = start.elapsed();
    report
}

/// Waits until a time, or forever when there is none.
async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time).await;
    }
}

/// The random choices for one request, made before its result is known.
struct Drawn {
    signed_at: Timestamp,
    request_lost: bool,
    answer_lost: bool,
}

impl Delivery {
    fn draw(&mut self, sender: &Sender, first_signed: &mut Option<Timestamp>) -> Drawn {
        let now = sender.clock.now();
        let first = *first_signed.get_or_insert(now);
        Drawn {
            signed_at: if sender.repeats == SignRepeats::AsBefore { first } else { now },
            request_lost: self.dice.chance(sender.lost_requests),
            answer_lost: self.dice.chance(sender.lost_answers),
        }
    }
}

async fn attempt(sender: &Sender, target: &dyn Target, body: &Bytes, delivery: usize, drawn: Drawn) -> Done {
    let began = Instant::now();
    let outcome = if drawn.request_lost {
        Err(NoResponse::RequestLost)
    } else {
        let request = sender.signer.sign(drawn.signed_at, body.clone());
        let answered = tokio::time::timeout(sender.timeout, target.post(&request)).await;
        let answered = answered.unwrap_or(Err(NoResponse::TimedOut));
        if drawn.answer_lost { answered.and(Err(NoResponse::AnswerLost)) } else { answered }
    };
    Done { delivery, outcome, took: began.elapsed() }
}

/// The SHA-256 of all bodies in the order they are sent, each with its length before it.
fn fingerprint<'a>(bodies: impl Iterator<Item = &'a Bytes>) -> String {
    let mut hash = Sha256::new();
    for body in bodies {
        hash.update((body.len() as u64).to_be_bytes());
        hash.update(body);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
