//! The sender: what arrives, when, how often, and what is reported.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jaas_core::store::{EventAdmin as _, EventQuery, MemoryStore};
use jaas_core::{Auth, Backoff, Handlers, Inbox, Receiver, Timestamp, Worker};
use jaas_testkit::simulator::{Day, NoResponse, Random, Sender, SignRepeats, Target, bodies_in_order};
use jaas_testkit::{Recorder, SignedRequest, Signer, TokioClock};
use tokio::time::Instant;

const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
const NOW: Timestamp = Timestamp::from_secs(1_795_500_000);

fn sender(seed: u64) -> Sender {
    Sender::new(Signer::new(SECRET).expect("a good secret"), seed)
        .clock(TokioClock::starting_at(NOW))
        .concurrency(1)
}

fn bodies(count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|number| Bytes::from(format!(r#"{{"idempotencyKey":"k{number}","eventType":"X"}}"#)))
        .collect()
}

/// Returns what the test chooses, and remembers every request with its time.
struct Listener {
    answer: Box<dyn Fn(usize) -> Result<u16, NoResponse> + Send + Sync>,
    requests: Mutex<Vec<(Instant, SignedRequest)>>,
}

impl Listener {
    fn answering(answer: impl Fn(usize) -> Result<u16, NoResponse> + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), requests: Mutex::default() }
    }

    fn requests(&self) -> Vec<(Instant, SignedRequest)> {
        self.requests.lock().expect("not poisoned").clone()
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.requests().into_iter().map(|(_, request)| request.body).collect()
    }
}

#[async_trait]
impl Target for Listener {
    async fn post(&self, request: &SignedRequest) -> Result<u16, NoResponse> {
        let number = {
            let mut requests = self.requests.lock().expect("not poisoned");
            requests.push((Instant::now(), request.clone()));
            requests.len() - 1
        };
        (self.answer)(number)
    }
}

#[tokio::test(start_paused = true)]
async fn without_faults_each_body_arrives_once_and_in_order() {
    let listener = Listener::answering(|_| Ok(200));
    let report = sender(1).send(&listener, bodies(50)).await;
    assert_eq!(listener.bodies(), bodies(50));
    assert!(report.is_complete() && report.refused.is_empty() && report.unanswered.is_empty());
    assert_eq!((report.events, report.deliveries, report.copies, report.retries), (50, 50, 0, 0));
    assert_eq!((report.requests, report.acknowledged, report.acknowledged_events), (50, 50, 50));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_repeated_after_waits_that_double() {
    let listener = Listener::answering(|number| Ok(if number < 4 { 503 } else { 204 }));
    let backoff = Backoff::default()
        .initial_delay(Duration::from_secs(1))
        .max_delay(Duration::from_secs(4))
        .max_failures(9);
    let report = sender(1).backoff(backoff).send(&listener, bodies(1)).await;
    let times: Vec<_> = listener.requests().into_iter().map(|(at, _)| at).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, least) in waits.iter().zip([1, 2, 4, 4]) {
        let least = Duration::from_secs(least);
        assert!(least <= *wait && *wait <= least * 2 + Duration::from_millis(2), "{waits:?}");
    }
    assert_eq!((report.requests, report.retries, report.acknowledged), (5, 4, 1));
    assert_eq!(report.refused.into_iter().collect::<Vec<_>>(), [(503, 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_always_refused_is_abandoned_and_named() {
    let listener = Listener::answering(|_| Ok(401));
    let report = sender(1).backoff(Backoff::default().max_failures(3)).send(&listener, bodies(2)).await;
    assert!(!report.is_complete());
    let undelivered: Vec<_> =
        report.undelivered.iter().map(|one| (one.key.clone(), one.attempts, one.last.clone())).collect();
    assert_eq!(undelivered.len(), 2);
    assert!(undelivered.contains(&(Some("k1".to_owned()), 3, Ok(401))), "{undelivered:?}");
    assert_eq!((report.requests, report.acknowledged), (6, 0));
    let json = report.json();
    assert_eq!((json["refused"]["401"].as_u64(), json["givenUp"].as_u64()), (Some(6), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn others_continue_while_one_waits_to_be_repeated() {
    let listener = Listener::answering(|number| Ok(if number == 0 { 503 } else { 200 }));
    let report = sender(1).send(&listener, bodies(3)).await;
    let names: Vec<Bytes> = listener.bodies();
    let expected = bodies(3);
    assert_eq!(names, [&expected[0], &expected[1], &expected[2], &expected[0]].map(Clone::clone));
    assert!(report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_shuffle_moves_the_configured_share() {
    let moved = async |part| {
        let listener = Listener::answering(|_| Ok(200));
        sender(3).shuffle(part).send(&listener, bodies(1000)).await;
        let arrived = listener.bodies();
        assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), 1000, "nothing is lost or doubled");
        arrived.iter().zip(&bodies(1000)).filter(|(a, b)| a != b).count()
    };
    assert_eq!(moved(0.0).await, 0);
    let some = moved(0.3).await;
    assert!((250..350).contains(&some), "{some}");
    assert!(moved(1.0).await > 950);
}

#[tokio::test(start_paused = true)]
async fn copies_have_the_same_bytes_and_come_after_their_original() {
    let listener = Listener::answering(|_| Ok(200));
    let report = sender(3).duplicates(0.2).shuffle(0.5).send(&listener, bodies(1000)).await;
    assert!((150..250).contains(&report.copies), "{}", report.copies);
    assert_eq!((report.deliveries, report.requests), (1000 + report.copies, 1000 + report.copies));
    assert_eq!(report.acknowledged_events, 1000);
    let mut seen = BTreeSet::new();
    let copies = listener.bodies().into_iter().filter(|body| !seen.insert(body.clone())).count();
    assert_eq!(copies, report.copies);
    let plan = sender(3).duplicates(0.2).shuffle(0.5).plan(1000);
    let mut planned = BTreeSet::new();
    assert!(plan.iter().all(|planned_one| planned.insert(planned_one.body) != planned_one.is_copy));
}

#[tokio::test(start_paused = true)]
async fn late_deliveries_are_held_back_and_overtaken() {
    let listener = Listener::answering(|_| Ok(200));
    let start = Instant::now();
    sender(5).late(0.2, Duration::from_secs(60)).send(&listener, bodies(500)).await;
    let late =
        listener.requests().into_iter().filter(|(at, _)| *at - start > Duration::from_millis(1)).count();
    assert!((60..140).contains(&late), "{late}");
    assert!(listener.bodies() != bodies(500));
    assert!(Instant::now() - start <= Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_never_arrives_and_a_lost_response_makes_a_duplicate() {
    let listener = Listener::answering(|_| Ok(200));
    let report = sender(1).lose_requests(0.2).send(&listener, bodies(300)).await;
    assert_eq!(listener.requests().len(), 300, "each arrives once in the end");
    assert!(report.is_complete() && report.unanswered["request_lost"] > 40, "{:?}", report.unanswered);

    let listener = Listener::answering(|_| Ok(200));
    let report = sender(1).lose_answers(0.2).send(&listener, bodies(300)).await;
    let lost = report.unanswered["answer_lost"];
    assert_eq!(listener.requests().len(), 300 + lost);
    assert!(report.is_complete() && lost > 40, "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_signed_again_or_as_before() {
    for (repeats, same) in [(SignRepeats::Anew, false), (SignRepeats::AsBefore, true)] {
        let listener = Listener::answering(|number| Ok(if number == 0 { 500 } else { 200 }));
        let backoff = Backoff::default().initial_delay(Duration::from_secs(30));
        sender(1).sign_repeats(repeats).backoff(backoff).send(&listener, bodies(1)).await;
        let requests = listener.requests();
        assert_eq!(requests[0].1 == requests[1].1, same, "{repeats:?}");
        assert_eq!(requests[0].1.body, requests[1].1.body);

        // A copy that is sent a minute later.
        let listener = Listener::answering(|_| Ok(200));
        let copying = sender(1).sign_repeats(repeats).duplicates(1.0).rate(1.0 / 60.0);
        copying.send(&listener, bodies(1)).await;
        let requests = listener.requests();
        assert_eq!((requests.len(), requests[0].1 == requests[1].1), (2, same), "{repeats:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_a_seed_make_the_same_requests_at_the_same_times() {
    let run = async |seed| {
        let listener = Listener::answering(|number| Ok(if number % 7 == 0 { 503 } else { 200 }));
        let start = Instant::now();
        let faulty =
            sender(seed).duplicates(0.1).shuffle(0.4).late(0.1, Duration::from_secs(20)).lose_requests(0.05);
        let report = faulty.rate(50.0).send(&listener, bodies(200)).await;
        let requests: Vec<_> =
            listener.requests().into_iter().map(|(at, request)| (at - start, request)).collect();
        (report.bodies_sha256, requests)
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await.0, run(8).await.0);
}

#[tokio::test(start_paused = true)]
async fn deliveries_begin_at_the_configured_rate() {
    let listener = Listener::answering(|_| Ok(200));
    let start = Instant::now();
    sender(1).rate(20.0).send(&listener, bodies(101)).await;
    let took = Instant::now() - start;
    assert!((Duration::from_millis(4_990)..Duration::from_millis(5_200)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_in_time_is_repeated() {
    struct Silent;
    #[async_trait]
    impl Target for Silent {
        async fn post(&self, _: &SignedRequest) -> Result<u16, NoResponse> {
            std::future::pending().await
        }
    }
    let report = sender(1)
        .timeout(Duration::from_secs(3))
        .backoff(Backoff::default().max_failures(2))
        .send(&Silent, bodies(1))
        .await;
    assert_eq!(report.unanswered.into_iter().collect::<Vec<_>>(), [("timed_out", 2)]);
    assert_eq!(report.undelivered[0].last, Err(NoResponse::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_allowed() {
    #[derive(Default)]
    struct Counter(Mutex<(usize, usize)>);
    #[async_trait]
    impl Target for Counter {
        async fn post(&self, _: &SignedRequest) -> Result<u16, NoResponse> {
            {
                let mut counts = self.0.lock().expect("not poisoned");
                counts.0 += 1;
                counts.1 = counts.1.max(counts.0);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.0.lock().expect("not poisoned").0 -= 1;
            Ok(200)
        }
    }
    let counter = Counter::default();
    let report = sender(1).concurrency(5).send(&counter, bodies(50)).await;
    assert_eq!(counter.0.lock().expect("not poisoned").1, 5);
    assert!(report.latency.p50 >= Duration::from_millis(10), "{:?}", report.latency);
}

#[tokio::test(start_paused = true)]
async fn progress_is_reported_after_every_request() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let listener = Listener::answering(|number| Ok(if number == 0 { 500 } else { 200 }));
    let report = sender(1)
        .on_progress(move |progress| {
            kept.lock().expect("not poisoned").push((progress.over, progress.requests));
        })
        .send(&listener, bodies(3))
        .await;
    let reports = reports.lock().expect("not poisoned").clone();
    assert_eq!((reports.len(), reports.last()), (report.requests, Some(&(3, 4))));
    assert_eq!(reports[0], (0, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_send_is_done_immediately() {
    let report =
        sender(1).duplicates(1.0).shuffle(1.0).send(&Listener::answering(|_| Ok(200)), Vec::new()).await;
    assert!(report.is_complete() && report.requests == 0);
}

#[tokio::test]
async fn a_faulty_day_through_receiver_inbox_and_worker_is_handled_once_per_event() {
    let store = Arc::new(MemoryStore::new());
    let auth = Auth::signature([SECRET]).expect("a good secret");
    let clock = TokioClock::starting_at(NOW);
    let receiver =
        Receiver::builder("main", auth, Inbox::new(store.clone())).clock(clock).build().expect("good");
    let recorder = Recorder::new();
    let handlers = Handlers::new().plain("recorder", recorder.clone());
    let worker = Worker::builder(store.clone(), handlers).build().expect("good").spawn();

    let meetings = Day::new(7).meetings(10).play();
    let bodies = bodies_in_order(&meetings);
    let quick = Backoff::default()
        .initial_delay(Duration::from_millis(1))
        .max_delay(Duration::from_millis(20))
        .max_failures(50);
    let faulty =
        sender(7).concurrency(16).duplicates(0.1).shuffle(0.5).lose_requests(0.05).lose_answers(0.05);
    let report = faulty.backoff(quick).send(&receiver, bodies.clone()).await;
    assert!(report.is_complete() && report.refused.is_empty(), "{report:?}");
    assert_eq!(report.acknowledged_events, bodies.len());

    let handled = tokio::time::timeout(Duration::from_secs(60), recorder.wait_for(bodies.len()))
        .await
        .expect("in time");
    worker.stop(Duration::from_secs(5)).await;
    assert_eq!(handled.len(), bodies.len(), "handled = unique sent");
    let keys: BTreeSet<_> =
        handled.iter().map(|seen| seen.delivery.envelope.idempotency_key.to_string()).collect();
    assert_eq!(keys.len(), bodies.len());
    let first = store.events(&EventQuery::default()).await.expect("listed");
    assert!(!first.items.is_empty());
}

#[tokio::test]
async fn a_wrong_secret_is_refused_every_time() {
    let auth = Auth::signature(["whsec_another"]).expect("a good secret");
    let inbox = Inbox::new(Arc::new(MemoryStore::new()));
    let receiver =
        Receiver::builder("main", auth, inbox).clock(TokioClock::starting_at(NOW)).build().expect("good");
    let quick = Backoff::default()
        .initial_delay(Duration::from_millis(1))
        .max_delay(Duration::from_millis(1))
        .max_failures(2);
    let bodies = Random::new(1).meeting().bodies();
    let report = sender(1).backoff(quick).send(&Arc::new(receiver), bodies.clone()).await;
    assert_eq!(report.refused.into_iter().collect::<Vec<_>>(), [(401, bodies.len() * 2)]);
    assert_eq!(report.undelivered.len(), bodies.len());
}
