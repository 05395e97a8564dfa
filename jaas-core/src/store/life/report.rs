//! The report as text, and serialized. It has neither bodies nor anything from their `data`.

use std::fmt;

use serde::Serialize;
use serde::Serializer;

use super::{EventLife, EventStatus};
use crate::store::{Attempt, AuditEntry, Conflict, EventState, RowId};
use crate::telemetry::Escaped;
use crate::timestamp::Timestamp;

impl fmt::Display for EventLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, status, conflicts, attempts, audit, more } = self;
        writeln!(
            f,
            "event {} · {} · {}",
            event.id,
            Escaped(&event.event_type),
            Escaped(event.idempotency_key.as_str())
        )?;
        line(f, "endpoint", &event.endpoint)?;
        line(f, "meeting", event.fqn.as_str())?;
        if let Some(session) = &event.session_id {
            line(f, "session", session.as_str())?;
        }
        line(f, "happened", event.occurred_at)?;
        line(f, "received", event.received_at)?;
        if let Some(trace) = &event.trace {
            line(f, "trace", trace.trace_id())?;
        }
        match event.erased_at {
            Some(at) => line(f, "body", format_args!("erased at {at}"))?,
            None => line(f, "body", format_args!("{} bytes", event.body.len()))?,
        }
        line(f, "state", format_args!("{}, {status}", event.state))?;
        let counts = [
            (event.failures, "failures"),
            (event.crashes, "crashes"),
            (event.interruptions, "interruptions"),
        ];
        let [failures, crashes, interruptions] = counts.map(|(count, what)| format!("{count} {what}"));
        line(f, "runs", format_args!("{failures}, {crashes}, {interruptions}"))?;
        if !event.completed.is_empty() {
            line(f, "handlers done", event.completed.join(", "))?;
        }
        if let Some(note) = event.note.as_ref().filter(|_| !event.state.is_settled()) {
            line(f, "last error", note)?;
        }
        section(f, "other bodies with its key", conflicts, |f, conflict| {
            let Conflict { id, first_received_at, last_received_at, seen, body, .. } = conflict;
            write!(f, "{first_received_at}  conflict {id}, {} bytes, seen {seen} times", body.len())?;
            if *seen > 1 { write!(f, ", last at {last_received_at}") } else { Ok(()) }
        })?;
        section(f, "attempts that did not succeed, newest first", attempts, |f, attempt| {
            let Attempt { fence, worker, outcome, error, ended_at, .. } = attempt;
            write!(f, "{ended_at}  {outcome}, claim {fence}")?;
            if let Some(worker) = worker {
                write!(f, ", worker {}", Escaped(worker))?;
            }
            error.as_ref().map_or(Ok(()), |error| write!(f, ": {}", Escaped(error)))
        })?;
        section(f, "what operators did, newest first", audit, |f, entry| {
            let AuditEntry { action, note, at, .. } = entry;
            write!(f, "{at}  {action} by {}: {}", Escaped(&note.by), Escaped(&note.reason))
        })?;
        if *more {
            writeln!(f, "of each list the first {} are shown", Self::MAX_ROWS)?;
        }
        Ok(())
    }
}

impl fmt::Display for EventStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due => f.write_str("waits: the next worker that has room runs it"),
            Self::Waits { until, passable: false } => write!(f, "waits until {until}"),
            Self::Waits { until, passable: true } => {
                write!(f, "waits until {until}; later events of its session do not wait for it")
            }
            Self::Behind { event, running: true } => {
                write!(f, "waits behind event {event} of its session, which runs")
            }
            Self::Behind { event, running: false } => {
                write!(f, "waits behind event {event} of its session, which is next")
            }
            Self::Suspect => {
                f.write_str("waits: it has crashed before, and runs when no other such event runs")
            }
            Self::Running { worker, leased_until } => {
                f.write_str("runs")?;
                if let Some(worker) = worker {
                    write!(f, " on worker {}", Escaped(worker))?;
                }
                leased_until.map_or(Ok(()), |until| write!(f, ", leased until {until}"))
            }
            Self::Settled { at, note, .. } => {
                f.write_str("settled")?;
                if let Some(at) = at {
                    write!(f, " at {at}")?;
                }
                note.as_ref().map_or(Ok(()), |note| write!(f, ": {}", Escaped(note)))
            }
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<14}{}", Escaped(value))
}

fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "  {title}:")?;
    for row in rows {
        f.write_str("    ")?;
        show(f, row)?;
        writeln!(f)?;
    }
    Ok(())
}

impl Serialize for EventLife {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let conflicts = self.conflicts.iter().map(|conflict| ConflictReport {
            row: conflict.id,
            first_received_at: conflict.first_received_at,
            last_received_at: conflict.last_received_at,
            seen: conflict.seen,
            body_bytes: conflict.body.len(),
        });
        let attempts = self.attempts.iter().map(|attempt| AttemptReport {
            outcome: attempt.outcome.as_str(),
            ended_at: attempt.ended_at,
            worker: attempt.worker.as_deref(),
            fence: attempt.fence,
            error: attempt.error.as_deref(),
        });
        let audit = self.audit.iter().map(|entry| AuditReport {
            action: entry.action.as_str(),
            at: entry.at,
            by: &entry.note.by,
            reason: &entry.note.reason,
        });
        let report = Report {
            row: event.id,
            endpoint: &event.endpoint,
            key: event.idempotency_key.as_str(),
            event_type: &event.event_type,
            session: event.session_id.as_ref().map(|session| session.as_str()),
            fqn: event.fqn.as_str(),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            trace_id: event.trace.as_ref().map(|trace| trace.trace_id()),
            body_bytes: event.body.len(),
            erased_at: event.erased_at,
            state: event.state,
            next: &self.status,
            failures: event.failures,
            crashes: event.crashes,
            interruptions: event.interruptions,
            completed: &event.completed,
            note: event.note.as_deref(),
            conflicts: conflicts.collect(),
            attempts: attempts.collect(),
            audit: audit.collect(),
            more: self.more,
        };
        report.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    row: RowId,
    endpoint: &'a str,
    key: &'a str,
    event_type: &'a str,
    session: Option<&'a str>,
    fqn: &'a str,
    occurred_at: Timestamp,
    received_at: Timestamp,
    trace_id: Option<&'a str>,
    body_bytes: usize,
    erased_at: Option<Timestamp>,
    state: EventState,
    next: &'a EventStatus,
    failures: u32,
    crashes: u32,
    interruptions: u32,
    completed: &'a [String],
    note: Option<&'a str>,
    conflicts: Vec<ConflictReport>,
    attempts: Vec<AttemptReport<'a>>,
    audit: Vec<AuditReport<'a>>,
    more: bool,
}

#[derive(Serialize)]
struct ConflictReport {
    row: RowId,
    first_received_at: Timestamp,
    last_received_at: Timestamp,
    seen: u32,
    body_bytes: usize,
}

#[derive(Serialize)]
struct AttemptReport<'a> {
    outcome: &'static str,
    ended_at: Timestamp,
    worker: Option<&'a str>,
    fence: i64,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct AuditReport<'a> {
    action: &'static str,
    at: Timestamp,
    by: &'a str,
    reason: &'a str,
}
