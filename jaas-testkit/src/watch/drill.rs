//! Whole days of meetings, of which some events never come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{Event, EventKind};
use jaas_core::store::{Accepted, PageRequest, StoreError};
use jaas_core::watch::{Gap, GapHandler, GapQuery, GapRecord, GapStore, Rule, Watch, WatchHandler};
use jaas_core::{
    Context, Delivery, EventHandler, HandlerError, HandlerResult, Handlers, SessionId, Timestamp, Worker,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lost::{LostEvent, gaps_of};
use crate::clock::ManualClock;
use crate::simulator::{Day, Dice, Loss};

/// How long a part of the day is that is delivered and audited together.
const PART: Duration = Duration::from_secs(5 * 60);

/// How late an event can come. Together with a part of the day it is less than any rule waits.
const LATE_MS: u64 = 8 * 60 * 1000;

/// Plays a day of random meetings against a store, delivers it shuffled and with copies, and audits it as it goes on.
/// Every other meeting loses events: uploads, departures, and ends of rooms.
///
/// ```
/// use jaas_core::store::MemoryStore;
/// use jaas_testkit::watch::Drill;
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let score = Drill::new(7).meetings(4).run(Arc::new(MemoryStore::new())).await?;
/// assert_eq!(score.reported_twice, 0);
/// # Ok::<(), jaas_core::store::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Drill {
    seed: u64,
    meetings: usize,
    share: f64,
}

/// What a drill has shown.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Score {
    /// For each type of event: how many were lost that should be noticed, and how many of those were.
    pub recall: BTreeMap<&'static str, (usize, usize)>,
    /// How many meetings lost nothing.
    pub clean_meetings: usize,
    /// Gaps in those that are none.
    pub false_alarms: Vec<Gap>,
    /// How many participants have left without an event by themselves, and how many of those were noticed.
    pub vanished: (usize, usize),
    /// How many gaps were reported.
    pub reported: usize,
    /// How many gaps were reported a second time.
    pub reported_twice: usize,
    /// How many of the lost events came after all, a day later.
    pub came_later: usize,
    /// Gaps that are open although what was missing has come, or that closed without being reported so.
    pub not_closed: usize,
}

impl Score {
    /// Which part of the lost events was noticed, from 0 to 1, of these types of events together.
    pub fn recall_of(&self, kinds: &[EventKind]) -> f64 {
        let of_kinds = kinds.iter().filter_map(|kind| self.recall.get(kind.as_str()));
        let (lost, noticed) = of_kinds.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if lost == 0 { 1.0 } else { noticed as f64 / lost as f64 }
    }
}

/// What was reported to the application.
#[derive(Default)]
struct Reports {
    found: Mutex<BTreeMap<(SessionId, Rule, String), usize>>,
    closed: Mutex<BTreeMap<(SessionId, Rule, String), usize>>,
}

fn name_of(gap: &Gap) -> (SessionId, Rule, String) {
    (gap.session_id.clone(), gap.rule, gap.subject.clone())
}

#[async_trait]
impl<Tx: Send> GapHandler<Tx> for Reports {
    async fn on_gap(&self, _: &mut Tx, gap: &Gap) -> Result<(), HandlerError> {
        *self.found.lock().entry(name_of(gap)).or_default() += 1;
        Ok(())
    }

    async fn on_closed(&self, _: &mut Tx, record: &GapRecord) -> Result<(), HandlerError> {
        *self.closed.lock().entry(name_of(&record.gap)).or_default() += 1;
        Ok(())
    }
}

/// Counts what is handled.
struct Counting<S> {
    inner: WatchHandler<S>,
    handled: Arc<(AtomicUsize, Notify)>,
}

#[async_trait]
impl<S: GapStore> EventHandler<S::Tx> for Counting<S> {
    async fn any_event(&self, cx: &mut Context<'_, S::Tx>, event: &Event) -> HandlerResult {
        let result = self.inner.any_event(cx, event).await;
        self.handled.0.fetch_add(1, Ordering::SeqCst);
        self.handled.1.notify_one();
        result
    }
}

/// A meeting of the day.
struct Played {
    session: SessionId,
    vanished: Vec<String>,
    lost: Vec<LostEvent>,
    lost_deliveries: Vec<Delivery>,
    is_clean: bool,
}

impl Drill {
    /// Creates a drill of 100 meetings, half of which lose 1 % of their uploads, departures, and ends of rooms.
    pub fn new(seed: u64) -> Self {
        Self { seed, meetings: 100, share: 0.01 }
    }

    /// Sets the number of meetings. Defaults to 100.
    pub fn meetings(mut self, meetings: usize) -> Self {
        self.meetings = meetings;
        self
    }

    /// Sets which share of uploads, departures and ends of rooms is lost, from 0 to 1. Defaults to 0.01.
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Plays the day against an empty store that uses the time it is given.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn run<S: GapStore + Clone>(&self, store: S) -> Result<Score, StoreError> {
        let (meetings, arrivals) = self.day();
        let begin = arrivals.first().map_or(Timestamp::from_millis(0), |(at, _)| *at);
        let clock = ManualClock::at(begin);
        let misconfigured = |error| {
            StoreError::new(jaas_core::store::StoreErrorKind::Refused, "the drill").with_source(error)
        };
        let watch = Watch::builder(store.clone()).clock(clock.clone()).build().map_err(misconfigured)?;
        let handled = Arc::new((AtomicUsize::new(0), Notify::new()));
        let counting = Counting { inner: watch.handler(), handled: handled.clone() };
        let handlers = Handlers::new().transactional("watch", counting);
        let worker = Worker::builder(store.clone(), handlers).clock(clock.clone()).build();
        let worker = worker.map_err(misconfigured)?.spawn();
        let reports = Arc::new(Reports::default());

        let mut accepted = 0;
        let mut arrivals = arrivals.into_iter().peekable();
        while let Some((at, _)) = arrivals.peek() {
            let until = at.saturating_add(PART);
            clock.set(until);
            while let Some((_, delivery)) = arrivals.next_if(|(at, _)| *at < until) {
                accepted += usize::from(store.accept(delivery).await? == Accepted::New);
            }
            all_handled(&handled, accepted).await;
            all_committed(&store, &clock).await?;
            watch.audit(reports.clone()).await?;
        }
        for hours in [1, 9, 10] {
            clock.advance(Duration::from_secs(hours * 60 * 60));
            watch.audit(reports.clone()).await?;
        }
        let mut score = score(&store, &meetings, &reports).await?;

        // A day later, all that was lost comes.
        for delivery in meetings.iter().flat_map(|meeting| &meeting.lost_deliveries) {
            let mut late = delivery.clone();
            late.received_at = jaas_core::Clock::now(&clock);
            let new = store.accept(late).await? == Accepted::New;
            accepted += usize::from(new);
            score.came_later += usize::from(new);
        }
        all_handled(&handled, accepted).await;
        // What failed is handled again after a while.
        loop {
            let due = store.next_due(jaas_core::Clock::now(&clock)).await?;
            if due.after.is_none() && !due.held_back {
                break;
            }
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What was handled last may be about to be committed.
        worker.stop(Duration::from_secs(30)).await;
        watch.audit(reports.clone()).await?;
        let late: Vec<&LostEvent> = meetings.iter().flat_map(|meeting| &meeting.lost).collect();
        let (found, closed) = (reports.found.lock().clone(), reports.closed.lock().clone());
        for record in all_gaps(&store).await? {
            let came = late.iter().any(|lost| lost.is_noticed_by(&record.gap));
            let told = closed.get(&name_of(&record.gap)).copied().unwrap_or(0);
            let is_right = told == usize::from(record.closed_at.is_some()) && (!came || told == 1);
            score.not_closed += usize::from(!is_right);
        }
        score.reported = found.len();
        score.reported_twice = found.values().filter(|times| **times != 1).count();
        Ok(score)
    }

    /// The meetings, and what arrives when, in that order.
    fn day(&self) -> (Vec<Played>, Vec<(Timestamp, Delivery)>) {
        let mut dice = Dice::fork(self.seed, 6);
        let (mut meetings, mut arrivals) = (Vec::new(), Vec::new());
        for (index, meeting) in Day::new(self.seed).meetings(self.meetings).play().into_iter().enumerate() {
            let all = meeting.deliveries();
            let loss = Loss::new(self.seed.wrapping_add(index as u64));
            let kinds = [
                EventKind::RecordingUploaded,
                EventKind::TranscriptionUploaded,
                EventKind::ParticipantLeft,
                EventKind::RoomDestroyed,
            ];
            let share = if index % 2 == 0 { 0.0 } else { self.share };
            let loss = kinds.into_iter().fold(loss, |loss, kind| loss.of(kind, share));
            let (came, lost) = loss.split(all.clone());
            for delivery in came {
                let copies = if dice.percent(5) { 2 } else { 1 };
                for _ in 0..copies {
                    let late = if dice.percent(30) { dice.between(0..=LATE_MS) } else { 0 };
                    let at = delivery.occurred_at().saturating_add(Duration::from_millis(late));
                    let mut delivery = delivery.clone();
                    delivery.received_at = at;
                    arrivals.push((at, delivery));
                }
            }
            let facts = meeting.facts();
            let vanished = facts.stays.iter().filter(|stay| stay.estimated);
            let vanished = vanished.filter_map(|stay| {
                let is_it = |one: &&Delivery| {
                    one.envelope.kind == EventKind::ParticipantJoined && one.occurred_at() == stay.joined_at
                };
                Some(all.iter().find(is_it)?.envelope.idempotency_key.to_string())
            });
            meetings.push(Played {
                session: meeting.session().clone(),
                vanished: vanished.collect(),
                lost: gaps_of(&all, &lost),
                is_clean: lost.is_empty(),
                lost_deliveries: lost,
            });
        }
        arrivals.sort_by_key(|(at, _)| *at);
        (meetings, arrivals)
    }
}

async fn all_handled(handled: &(AtomicUsize, Notify), accepted: usize) {
    while handled.0.load(Ordering::SeqCst) < accepted {
        handled.1.notified().await;
    }
}

/// Waits until nothing waits or runs: a handler counts what it has handled before that is committed. An event that failed
/// waits for a later time; the audit goes on without it.
async fn all_committed<S: GapStore>(store: &S, clock: &ManualClock) -> Result<(), StoreError> {
    let give_up = Instant::now() + Duration::from_secs(10);
    while Instant::now() < give_up {
        let due = store.next_due(jaas_core::Clock::now(clock)).await?;
        if due.after.is_none() && !due.held_back {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn all_gaps<S: GapStore>(store: &S) -> Result<Vec<GapRecord>, StoreError> {
    let page = PageRequest { limit: PageRequest::MAX_LIMIT, ..PageRequest::first() };
    let (mut all, mut query) = (Vec::new(), GapQuery { page, ..GapQuery::default() });
    loop {
        let page = store.gaps(&query).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => query.page.after = Some(next),
            None => return Ok(all),
        }
    }
}

async fn score<S: GapStore>(store: &S, meetings: &[Played], reports: &Reports) -> Result<Score, StoreError> {
    let mut score = Score::default();
    let mut gaps: BTreeMap<SessionId, Vec<GapRecord>> = BTreeMap::new();
    for record in all_gaps(store).await? {
        gaps.entry(record.gap.session_id.clone()).or_default().push(record);
    }
    for meeting in meetings {
        let gaps = gaps.remove(&meeting.session).unwrap_or_default();
        let known: BTreeSet<&String> = meeting.vanished.iter().collect();
        for lost in &meeting.lost {
            let (count, noticed) = score.recall.entry(lost.kind.as_str()).or_default();
            *count += 1;
            *noticed += usize::from(gaps.iter().any(|record| lost.is_noticed_by(&record.gap)));
        }
        let of_vanished =
            |record: &&GapRecord| record.gap.rule == Rule::StayNotLeft && known.contains(&record.gap.subject);
        score.vanished.0 += known.len();
        score.vanished.1 += gaps.iter().filter(of_vanished).count();
        if meeting.is_clean {
            score.clean_meetings += 1;
            let alarms = gaps.iter().filter(|record| !of_vanished(record));
            score.false_alarms.extend(alarms.map(|record| record.gap.clone()));
        }
    }
    score.reported = reports.found.lock().len();
    Ok(score)
}
