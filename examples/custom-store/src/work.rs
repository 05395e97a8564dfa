//! Accepting events, choosing what runs next, and settling.

use std::time::Duration;

use jaas_core::store::tools::{DeadLettered, Head, Turn, crash_note};
use jaas_core::store::*;
use jaas_core::{Delivery, Handled, Timestamp, Unreadable};
use redb::ReadableTable as _;

use crate::rows::{
    BODIES, CONFLICTS, Change, DUE, KEYS, Key, Outcome, QUARANTINE, QUEUES, Row, Rows, Seen, WAITING, body,
};

/// The phase of a queue. It waits for a worker or for its time, without or with a first event that has crashed; or one of its
/// events runs, without or with a crash before.
pub const READY: u8 = 0;
pub const SUSPECT: u8 = 1;
pub const RUNNING: u8 = 2;
pub const SUSPECT_RUNS: u8 = 3;

/// How to claim the next event of a queue. An event that has crashed is claimed only when it is its turn.
pub struct Claiming<'a> {
    worker: &'a str,
    next: NextClaim,
    suspects: bool,
}

impl Change {
    pub fn accept(&self, delivery: Delivery) -> Outcome<Accepted> {
        let (endpoint, key) = (&delivery.endpoint, delivery.envelope.idempotency_key.clone());
        if let Some(first) = self.known((endpoint, key.as_str(), &[]))? {
            if self.row(first)?.hash == delivery.body_hash() {
                return Ok(Accepted::Duplicate);
            }
            let key = (&**endpoint, key.as_str(), &delivery.body_hash()[..]);
            self.see(CONFLICTS, key, key.1, delivery.received_at, delivery.body())?;
            return Ok(Accepted::Conflict);
        }
        let id = self.keep((endpoint, key.as_str(), &[]), delivery.body())?;
        let (received_at, hash) = (delivery.received_at, delivery.body_hash());
        let mut event = StoredEvent::new(id, endpoint.clone(), key, received_at, Vec::new());
        event.occurred_at = delivery.occurred_at();
        event.trace = delivery.trace;
        event.event_type = delivery.envelope.event_type.into_owned();
        event.session_id = delivery.envelope.session_id;
        event.fqn = delivery.envelope.fqn;
        self.wait(&Row { event, attempts: Vec::new(), hash, fence: 0, passable: false }, received_at)?;
        self.count("accepted")?;
        Ok(Accepted::New)
    }

    pub fn quarantine(&self, new: &Unreadable) -> Outcome<()> {
        let key = (&*new.endpoint, "", &new.body_hash()[..]);
        self.see(QUARANTINE, key, &new.reason.to_string(), new.received_at, new.body())
    }

    /// Keeps a body that is not an event, or counts a repetition.
    fn see(&self, table: Rows, key: Key<'_>, what: &str, at: Timestamp, body: &[u8]) -> Outcome<()> {
        let id = self.known(key)?.map_or_else(|| self.keep(key, body), Ok)?;
        let mut rows = self.tables.open_table(table)?;
        let known = rows.get(id.get())?.map(|row| serde_json::from_slice::<Seen>(row.value())).transpose()?;
        let (first_at, seen) = known.map_or((at, 0), |known| (known.2, known.4));
        rows.insert(id.get(), &*serde_json::to_vec(&(key.0, what, first_at, at, seen + 1))?)?;
        Ok(())
    }

    /// Returns the row of this endpoint, key and hash.
    pub fn known(&self, key: Key<'_>) -> Outcome<Option<RowId>> {
        Ok(self.tables.open_table(KEYS)?.get(key)?.map(|id| RowId::new(id.value())))
    }

    /// Assigns a row to a body under its key.
    fn keep(&self, key: Key<'_>, body: &[u8]) -> Outcome<RowId> {
        let id = self.next_id()?;
        self.tables.open_table(KEYS)?.insert(key, id.get())?;
        self.tables.open_table(BODIES)?.insert(id.get(), body)?;
        Ok(id)
    }

    pub fn claim(&mut self, request: &ClaimRequest) -> Outcome<Vec<Claim>> {
        let ClaimRequest { now, limit, lease, order, .. } = *request;
        let how = |suspects| Claiming {
            worker: &request.worker,
            next: NextClaim { lease, order, following: 0 },
            suspects,
        };
        for phase in [RUNNING, SUSPECT_RUNS] {
            for (_, event) in self.due(phase, now, usize::MAX)? {
                self.crash(self.row(event)?, request)?;
            }
        }
        let mut claims = Vec::new();
        let a_suspect_runs = !self.due(SUSPECT_RUNS, Timestamp::from_millis(i64::MAX), 1)?.is_empty();
        for (queue, _) in self.due(SUSPECT, now, limit.min(usize::from(!a_suspect_runs)))? {
            claims.extend(self.next(&queue, Some(how(true)), now)?);
        }
        // Each queue at the front is then claimed, postponed or deleted, so the loop makes progress.
        while claims.len() < limit {
            let due = self.due(READY, now, limit - claims.len())?;
            if due.is_empty() {
                break;
            }
            for (queue, _) in due {
                claims.extend(self.next(&queue, Some(how(false)), now)?);
            }
        }
        Ok(claims)
    }

    /// Counts a crash of an event whose lease has ended.
    fn crash(&mut self, mut row: Row, request: &ClaimRequest) -> Outcome<()> {
        self.attempt(&mut row, AttemptOutcome::Crashed, None, request.now)?;
        row.event.crashes += 1;
        row.event.state = EventState::Waiting;
        if row.event.crashes >= request.max_crashes {
            row.settle(EventState::Dead, crash_note(row.event.crashes), request.now);
            self.count("dead")?;
            let event = &row.event;
            let attempts = event.failures + event.crashes + event.interruptions;
            let key = event.idempotency_key.clone();
            self.dead_letters.push(DeadLettered::new(
                event.id,
                key,
                &*event.event_type,
                event.crashes,
                attempts,
            ));
        }
        self.go_on(&row, None, request.now).map(drop)
    }

    /// Returns the leases that are no longer held.
    pub fn renew(&self, leases: &[Lease], now: Timestamp, lease: Duration) -> Outcome<Vec<Lease>> {
        let mut lost = Vec::new();
        for held in leases {
            match self.held("renew", *held)? {
                Ok(row) => self.run(&row, now.saturating_add(lease))?,
                Err(_) => lost.push(*held),
            }
        }
        Ok(lost)
    }

    pub fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Outcome<Vec<Claim>> {
        let mut row = self.held("complete", lease)??;
        let event = &mut row.event;
        if *handled == Handled::Done {
            event.completed.push(step.handler.to_string());
        }
        match handled {
            _ if !step.last => return self.save(&row).map(|()| Vec::new()),
            Handled::Ignored(reason) if event.completed.is_empty() => {
                row.settle(EventState::Ignored, reason.to_string(), now);
            }
            _ => (event.state, event.settled_at) = (EventState::Done, Some(now)),
        }
        self.count("settled")?;
        self.go_on(&row, step.next, now)
    }

    pub fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Outcome<Vec<Claim>> {
        let mut row = self.held("record the failure", lease)??;
        self.attempt(&mut row, AttemptOutcome::Failed, Some(&failure.error), now)?;
        row.event.failures += 1;
        self.count("failed")?;
        if failure.retry_in.is_none() {
            self.count("dead")?;
        }
        row.settle(EventState::Dead, failure.error.clone(), now);
        if let Some(wait) = failure.retry_in {
            (row.event.state, row.event.settled_at) = (EventState::Waiting, None);
            (row.event.due_at, row.passable) = (now.saturating_add(wait), failure.passable);
        }
        self.go_on(&row, failure.next, now)
    }

    /// Puts claimed events back into their queues; `interrupted` if a handler has seen them.
    pub fn release(&self, leases: &[Lease], interrupted: bool, now: Timestamp) -> Outcome<()> {
        for lease in leases {
            let Ok(mut row) = self.held("release", *lease)? else { continue };
            if interrupted {
                self.attempt(&mut row, AttemptOutcome::Interrupted, None, now)?;
                row.event.interruptions += 1;
                row.event.due_at = now;
            }
            row.event.state = EventState::Waiting;
            self.go_on(&row, None, now)?;
        }
        Ok(())
    }

    fn attempt(
        &self,
        row: &mut Row,
        end: AttemptOutcome,
        error: Option<&str>,
        now: Timestamp,
    ) -> Outcome<()> {
        let mut attempt = Attempt::new(self.next_id()?, row.event.id, row.fence, end, now);
        (attempt.worker, attempt.error) = (row.event.worker.clone(), error.map(str::to_owned));
        row.attempts.push(attempt);
        Ok(())
    }

    /// Returns the event of a lease that is held.
    fn held(&self, operation: &str, lease: Lease) -> Outcome<Result<Row, StoreError>> {
        let row = self.find(lease.event)?;
        let row = row.filter(|row| row.event.state == EventState::Running && row.fence == lease.fence);
        Ok(row.ok_or_else(|| StoreError::stale(operation, lease)))
    }

    /// Writes an event that ran, and decides what its queue does next.
    fn go_on(&self, row: &Row, next: Option<NextClaim>, now: Timestamp) -> Outcome<Vec<Claim>> {
        self.save(row)?;
        let worker = row.event.worker.as_deref().unwrap_or_default();
        let next = next.filter(|_| row.event.crashes == 0);
        let next = next.map(|next| Claiming { worker, next, suspects: false });
        Ok(self.next(&row.queue(), next, now)?.into_iter().collect())
    }

    /// Writes an event that does not run. Its queue may now have a different next event, unless another of its events runs.
    pub fn wait(&self, row: &Row, now: Timestamp) -> Outcome<()> {
        self.save(row)?;
        let queue = row.queue();
        if self.known_queue(&queue)?.is_none_or(|(phase, _)| phase < RUNNING) {
            self.next(&queue, None, now)?;
        }
        Ok(())
    }

    /// Decides what a queue does next in which nothing runs: its event is claimed, or the queue is put where a claim finds it.
    fn next(&self, queue: &str, how: Option<Claiming<'_>>, now: Timestamp) -> Outcome<Option<Claim>> {
        let order = how.as_ref().map(|how| how.next.order).unwrap_or_default();
        let mut row = match order.turn(self.head(queue, false)?, self.head(queue, true)?, now) {
            Turn::Empty => return self.schedule(queue, None).map(|()| None),
            Turn::Wait(until) => return self.schedule(queue, Some((READY, until, 0))).map(|()| None),
            Turn::Run(event) => self.row(event)?,
        };
        let suspect = row.event.crashes > 0;
        let Some(how) = how.filter(|how| how.suspects || !suspect) else {
            // A queue that is already due keeps its place.
            let known = self.known_queue(queue)?;
            let at = known.map_or(now, |(_, at)| now.min(Timestamp::from_millis(at)));
            return self.schedule(queue, Some((if suspect { SUSPECT } else { READY }, at, 0))).map(|()| None);
        };
        row.fence += 1;
        (row.event.state, row.event.worker) = (EventState::Running, Some(how.worker.to_owned()));
        self.save(&row)?;
        self.run(&row, now.saturating_add(how.next.lease))?;
        let Row { event, fence, .. } = row;
        let body = body(&self.tables.open_table(BODIES)?, event.id)?;
        let mut claim = Claim::new(Lease { event: event.id, fence }, event.endpoint, event.received_at, body);
        (claim.failures, claim.crashes, claim.interruptions) =
            (event.failures, event.crashes, event.interruptions);
        (claim.completed, claim.trace) = (event.completed, event.trace);
        Ok(Some(claim))
    }

    /// Returns the queue in which an event waits or runs.
    pub fn queue_of(&self, event: RowId) -> Outcome<Option<QueueState>> {
        let Some(row) = self.find(event)?.filter(|row| !row.event.state.is_settled()) else {
            return Ok(None);
        };
        let queue = row.queue();
        let Some((phase, at)) = self.known_queue(&queue)? else { return Ok(None) };
        let mut state = QueueState::new(Timestamp::from_millis(at));
        (state.first, state.passed) = (self.head(&queue, false)?, self.head(&queue, true)?);
        (state.suspect, state.passable) = (phase == SUSPECT, row.passable);
        if phase >= RUNNING {
            let running = self.tables.open_table(DUE)?.get((phase, at, &*queue))?.map(|event| event.value());
            if let Some(running) = running.map(|event| self.row(RowId::new(event))).transpose()? {
                state.running = Some(RunningEvent::new(running.event.id, running.event.worker, state.due_at));
            }
        }
        Ok(Some(state))
    }

    /// Returns the first waiting event of a queue, either of the passable events or of the others.
    fn head(&self, queue: &str, passable: bool) -> Outcome<Option<Head>> {
        let waiting = self.tables.open_table(WAITING)?;
        let range = (queue, passable, i64::MIN, i64::MIN)..(queue, passable, i64::MAX, i64::MAX);
        let Some(first) = waiting.range(range)?.next().transpose()? else { return Ok(None) };
        let StoredEvent { id: event, occurred_at, received_at, due_at, .. } =
            self.row(RowId::new(first.0.value().3))?.event;
        Ok(Some(Head { event, occurred_at, received_at, due_at }))
    }

    /// Marks an event as running until its lease ends.
    fn run(&self, row: &Row, until: Timestamp) -> Outcome<()> {
        let phase = if row.event.crashes > 0 { SUSPECT_RUNS } else { RUNNING };
        self.schedule(&row.queue(), Some((phase, until, row.event.id.get())))
    }

    fn known_queue(&self, queue: &str) -> Outcome<Option<(u8, i64)>> {
        Ok(self.tables.open_table(QUEUES)?.get(queue)?.map(|known| known.value()))
    }

    /// Sets when to look at a queue next, and which event runs in it. With `None`, the queue is empty and is deleted.
    fn schedule(&self, queue: &str, to: Option<(u8, Timestamp, i64)>) -> Outcome<()> {
        let (mut queues, mut due) = (self.tables.open_table(QUEUES)?, self.tables.open_table(DUE)?);
        if let Some((phase, at)) = queues.remove(queue)?.map(|before| before.value()) {
            due.remove((phase, at, queue))?;
        }
        if let Some((phase, at, event)) = to {
            queues.insert(queue, (phase, at.as_millis()))?;
            due.insert((phase, at.as_millis(), queue), event)?;
        }
        Ok(())
    }

    /// Returns the due queues of this phase, earliest first, and the events that run in them.
    fn due(&self, phase: u8, now: Timestamp, limit: usize) -> Outcome<Vec<(String, RowId)>> {
        let due = self.tables.open_table(DUE)?;
        let range = (phase, i64::MIN, "")..(phase, now.as_millis().saturating_add(1), "");
        let queue = |row| {
            let (key, event): (redb::AccessGuard<'_, (u8, i64, &str)>, redb::AccessGuard<'_, i64>) = row?;
            Ok((key.value().2.to_owned(), RowId::new(event.value())))
        };
        due.range(range)?.take(limit).map(queue).collect()
    }
}
