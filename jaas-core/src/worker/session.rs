//! What a worker does with a claimed session: it runs the events, one after the other.
//!
//! The results of a plain handler are recorded while the handler of the next event already runs. Otherwise each event
//! would wait for the commit of the previous one, and a session would advance by one event per commit. The store lists
//! which events [follow](Claim::following) a claim. An event that arrives later but happened earlier must not be
//! passed, so the list is valid only for a moment, and only as long as nothing was accepted.

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::held::RunId;
use super::process::{Done, Failed, Process, Ran, log_unrecorded};
use super::turn::Turn;
use crate::store::{Claim, Completion, EventStore, Lease, StoreError};
use crate::telemetry::target;

/// The maximum number of events that the store lists as following a claim.
const MOST_FOLLOWING: usize = 64;

/// The same while other sessions wait. The same database commits their events.
const MOST_FOLLOWING_IN_A_CROWD: usize = 8;

/// How long a list of following events is valid after it was fetched. Events that other processes accept meanwhile may
/// be passed, even if they happened earlier.
const RECENT: Duration = Duration::from_millis(20);

/// How the run of a session ended.
pub(super) struct Ended {
    pub(super) run: RunId,
    /// How many events ran.
    pub(super) events: usize,
    /// Whether nothing more happens to the last of them.
    pub(super) settled: bool,
    /// How long the run took.
    pub(super) took: Duration,
}

/// The run of a session.
pub(super) struct Session<'a, S: EventStore> {
    process: &'a Process<S>,
    turn: Turn<'a>,
    wakeups: watch::Receiver<u64>,
    /// The lease that this worker holds according to the store.
    lease: Lease,
    events: usize,
    /// How long the last event took.
    took: Duration,
    /// Events that are done and wait to be recorded.
    done: Vec<Done>,
    recording: Option<Recording<'a>>,
    /// The events that follow those being recorded.
    following: VecDeque<Claim>,
    /// The last wake-up before the following events were fetched, and when that was.
    listed: (u64, Instant),
}

type Response = Result<Option<Claim>, StoreError>;

/// Events that are being recorded.
struct Recording<'a> {
    of: Vec<Done>,
    /// The last wake-up before it began.
    generation: u64,
    /// Whether the next event of the session is claimed with them.
    goes_on: bool,
    call: BoxFuture<'a, Response>,
    response: Option<Response>,
}

impl Recording<'_> {
    /// Waits for the store's response, and keeps it.
    async fn response(&mut self) -> &Response {
        let response = match self.response.take() {
            Some(response) => response,
            None => (&mut self.call).await,
        };
        self.response.insert(response)
    }
}

/// What a session does next.
enum Then {
    /// It runs this event.
    Run(Claim),
    /// Events that are done are recorded.
    Record,
    /// Its run ends; whether nothing more happens to its last event.
    End(bool),
}

impl<'a, S: EventStore> Session<'a, S> {
    pub(super) fn new(process: &'a Process<S>, turn: Turn<'a>, lease: Lease) -> Self {
        Self {
            process,
            wakeups: process.store.wakeups(),
            lease,
            events: 0,
            took: Duration::ZERO,
            done: Vec::new(),
            recording: None,
            following: VecDeque::new(),
            listed: (0, turn.began),
            turn,
        }
    }

    /// Runs the claimed event and, as long as the session may continue, those that follow it.
    pub(super) async fn run(mut self, mut claim: Claim) -> Ended {
        let settled = loop {
            self.events += 1;
            let then = match self.run_event(claim).await {
                Ran::Done(done) => {
                    self.done.push(done);
                    Then::Record
                }
                Ran::Recorded(done, next) => {
                    done.report();
                    next.map_or(Then::End(true), |next| self.hold(next))
                }
                Ran::Failed(failed) => self.fail(failed).await,
                Ran::NotRecorded => self.cut_off().await,
            };
            claim = match self.next_claim(then).await {
                Ok(next) => next,
                Err(settled) => break settled,
            };
        };
        Ended { run: self.turn.run, events: self.events, settled, took: self.turn.began.elapsed() }
    }

    /// Records the events that are done; returns the event to run next, or how the run ends.
    async fn next_claim(&mut self, mut then: Then) -> Result<Claim, bool> {
        loop {
            then = match then {
                Then::Run(claim) => return Ok(claim),
                Then::End(settled) => return Err(settled),
                Then::Record => {
                    self.record().await;
                    match self.run_ahead() {
                        Some(claim) => Then::Run(claim),
                        None => self.recording_ended().await,
                    }
                }
            }
        }
    }

    /// Runs the handlers of an event while earlier results are recorded.
    async fn run_event(&mut self, claim: Claim) -> Ran {
        let ahead = claim.lease != self.lease;
        let began = Instant::now();
        let Self { process, turn, recording, .. } = self;
        let run = process.run_event(claim, turn, ahead);
        tokio::pin!(run);
        let pending = recording.as_mut().filter(|recording| recording.response.is_none());
        let ran = match pending {
            None => run.await,
            Some(recording) => tokio::select! {
                biased;
                ran = &mut run => ran,
                response = recording.response() => match response {
                    Ok(Some(next)) => {
                        // From now on this lease has to be renewed.
                        turn.held.replace_lease(turn.run, next.lease);
                        turn.held.begin(turn.run);
                        run.await
                    }
                    // Its session no longer belongs to this worker, so its handler is aborted.
                    Ok(None) | Err(_) => Ran::NotRecorded,
                },
            },
        };
        self.took = began.elapsed();
        ran
    }

    /// The run of an event has ended without an outcome: a step of it could not be recorded, or the session was lost
    /// while the event ran ahead, and that response is still to be processed.
    async fn cut_off(&mut self) -> Then {
        if self.recording.is_none() {
            return Then::End(false);
        }
        tracing::warn!(
            target: target::WORK, session_of = %self.lease.event,
            "the claim of the session ended while its next event ran ahead; the handler is aborted, and the event runs again if it waits",
        );
        self.recording_ended().await
    }

    /// Begins to record the events that are done, unless a recording is in progress.
    async fn record(&mut self) {
        if self.recording.is_some() || self.done.is_empty() {
            return;
        }
        let of = std::mem::take(&mut self.done);
        let next = self.turn.next(self.wanted(of.len()));
        let completions: Vec<Completion> = of.iter().map(|done| done.completion.clone()).collect();
        let generation = *self.wakeups.borrow();
        let mut call = self.process.record_done(self.lease, completions, next).boxed();
        // Polled once so that it is in progress, whatever is polled next.
        let response = match futures_util::poll!(&mut call) {
            Poll::Ready(response) => Some(response),
            Poll::Pending => None,
        };
        self.recording = Some(Recording { of, generation, goes_on: next.is_some(), call, response });
    }

    /// How many events are worth listing, after this many were recorded together.
    fn wanted(&self, recorded: usize) -> usize {
        // Most sessions have an event or two.
        let useful = self.events > 1 && self.process.runs_ahead() && self.took < RECENT / 2;
        let most = if self.turn.pace.is_crowded() { MOST_FOLLOWING_IN_A_CROWD } else { MOST_FOLLOWING };
        if useful { (recorded * 2).min(most) } else { 0 }
    }

    /// The event that follows, if it may run before the current recording ends.
    fn run_ahead(&mut self) -> Option<Claim> {
        let (generation, at) = self.listed;
        let pending = |recording: &Recording<'_>| recording.goes_on && recording.response.is_none();
        let may_run = self.recording.as_ref().is_some_and(pending)
            && self.turn.next(0).is_some()
            && *self.wakeups.borrow() == generation
            && at.elapsed() < RECENT;
        if may_run { self.following.pop_front() } else { None }
    }

    /// Waits until the events that are done are recorded.
    async fn recording_ended(&mut self) -> Then {
        let Some(mut recording) = self.recording.take() else { return Then::End(true) };
        recording.response().await;
        let Recording { of, generation, response, .. } = recording;
        match response {
            Some(Ok(next)) => {
                of.into_iter().for_each(Done::report);
                self.listed = (generation, Instant::now());
                next.map_or(Then::End(true), |next| self.hold(next))
            }
            Some(Err(error)) => {
                log_unrecorded(self.lease, &error);
                Then::End(false)
            }
            None => Then::End(false),
        }
    }

    /// Continues with an event that is claimed now, and may have run already.
    fn hold(&mut self, mut claim: Claim) -> Then {
        self.lease = claim.lease;
        self.turn.held.replace_lease(self.turn.run, claim.lease);
        self.following = std::mem::take(&mut claim.following).into();
        let is_done = |event| self.done.iter().any(|done| done.completion.lease.event == event);
        self.following.retain(|claim| !is_done(claim.lease.event));
        let claimed = self.done.iter_mut().find(|done| done.completion.lease.event == claim.lease.event);
        match claimed {
            Some(done) => {
                done.completion.lease = claim.lease;
                self.turn.held.begin(self.turn.run);
                Then::Record
            }
            None => Then::Run(claim),
        }
    }

    /// Records that an event failed, after the events that were done before it.
    async fn fail(&mut self, failed: Failed) -> Then {
        while self.recording.is_some() || self.lease != failed.lease {
            self.record().await;
            match self.recording_ended().await {
                Then::Record => {}
                Then::Run(claim) if claim.lease == failed.lease => break,
                // An event that happened earlier has arrived. This one runs again after it.
                other => return other,
            }
        }
        let recorded = async {
            let of = std::mem::take(&mut self.done);
            if !of.is_empty() {
                let completions = of.iter().map(|done| done.completion.clone()).collect();
                self.process.record_done(self.lease, completions, None).await?;
                of.into_iter().for_each(Done::report);
            }
            self.process.record_failure(failed, self.turn.next(0)).await
        };
        match recorded.await {
            Ok((_, Some(next))) => self.hold(next),
            Ok((settled, None)) => Then::End(settled),
            Err(error) => {
                log_unrecorded(self.lease, &error);
                Then::End(false)
            }
        }
    }
}
