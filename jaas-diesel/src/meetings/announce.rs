//! Doing something once a meeting has ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::meetings::Sitting;
use jaas_core::store::StoreError;
use jaas_core::telemetry::target;
use jaas_core::{ConfigError, ConfigErrorKind, HandlerError, SessionId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Meetings, MeetingsConnection};
use crate::error::unavailable;

/// What an application does when a meeting has ended.
#[async_trait]
pub trait MeetingEnded<Tx: Send>: Send + Sync + 'static {
    /// A sitting ended, and did not open again within the [grace period](super::MeetingsBuilder::grace). What is written
    /// through `tx` is committed together with the note that this sitting was announced, or not at all: those effects happen
    /// once for each sitting. Everything else happens at least once.
    ///
    /// # Errors
    /// Whatever error it is, this is called again after the [retry interval](Announcer::retry_interval), until it succeeds.
    async fn meeting_ended(&self, tx: &mut Tx, sitting: &Sitting) -> Result<(), HandlerError>;
}

type Connect<C> = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<C, StoreError>> + Send>> + Send + Sync>;

/// Announces each sitting that has ended to a [`MeetingEnded`], in a task with a connection of its own. What is to be
/// announced is in the tables, so it survives restarts; any number of processes may do so on the same tables.
#[must_use = "it does nothing until it is spawned"]
pub struct Announcer<C> {
    meetings: Meetings,
    connect: Connect<C>,
    handler: Arc<dyn MeetingEnded<C>>,
    interval: Duration,
    retry_interval: Duration,
    timeout: Duration,
}

impl Meetings {
    /// Announces each sitting to this handler once it has ended. `connect` opens the connection: to the database of the store.
    pub fn on_meeting_ended<C, F, Fut, E>(&self, connect: F, handler: impl MeetingEnded<C>) -> Announcer<C>
    where
        C: MeetingsConnection,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connect: Connect<C> = Arc::new(move || {
            let connecting = connect();
            Box::pin(async move {
                connecting
                    .await
                    .map_err(|error| unavailable("connect to announce the ends of meetings", error))
            })
        });
        Announcer {
            meetings: self.clone(),
            connect,
            handler: Arc::new(handler),
            interval: Duration::from_secs(5),
            retry_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
        }
    }
}

/// How many sittings are looked up at a time.
const BATCH: i64 = 100;

impl<C: MeetingsConnection> Announcer<C> {
    /// How long to wait before looking again for sittings that have ended. Defaults to 5 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long after a failure a sitting is announced again. Defaults to 1 min.
    pub fn retry_interval(mut self, interval: Duration) -> Self {
        self.retry_interval = interval;
        self
    }

    /// How long connecting, looking and each call of the handler may take. Defaults to 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts the task on the current tokio runtime.
    ///
    /// # Errors
    /// [`Range`](ConfigErrorKind::Range) when an interval or the timeout is zero.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> Result<AnnouncerHandle, ConfigError> {
        if self.interval.is_zero() || self.retry_interval.is_zero() || self.timeout.is_zero() {
            let why = "the intervals and the timeout of the announcer must not be zero";
            return Err(ConfigError::new(ConfigErrorKind::Range, why));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = stopped => {}
                () = self.run() => {}
            }
        });
        Ok(AnnouncerHandle { stop: Some(stop), task })
    }

    async fn run(self) {
        let mut connection = None;
        loop {
            match self.round(&mut connection).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    // In the middle of a statement, perhaps: the server rolls back what was not committed.
                    connection = None;
                    tracing::warn!(
                        target: target::STORE, %error,
                        "cannot announce the ends of meetings; trying again in {:?}", self.interval
                    );
                }
            }
            sleep(self.interval).await;
        }
    }

    /// Announces what is due; `true` when there may be more.
    async fn round(&self, kept: &mut Option<C>) -> Result<bool, StoreError> {
        let connection = match kept {
            Some(connection) => connection,
            None => kept.insert(self.in_time((self.connect)()).await??),
        };
        let now = self.meetings.clock.now().as_millis();
        let due = self.in_time(connection.due(now, BATCH)).await?;
        let due = due.map_err(|error| unavailable("look for meetings that have ended", error))?;
        for session in &due {
            if let Some(failed) = self.in_time(self.announce(connection, session)).await?? {
                tracing::warn!(
                    target: target::STORE, session = %SessionId::new(session.as_str()), error = %failed,
                    "the end of a meeting was not handled; trying again in {:?}", self.retry_interval
                );
                let later = self.meetings.clock.now().saturating_add(self.retry_interval).as_millis();
                let postponed = self.in_time(connection.postpone(session, now, later)).await?;
                postponed.map_err(|error| unavailable("postpone the end of a meeting", error))?;
            }
        }
        Ok(due.len() as i64 == BATCH)
    }

    /// Announces a sitting in a transaction; the handler's error, if it returned one.
    async fn announce(&self, connection: &mut C, session: &str) -> Result<Option<HandlerError>, StoreError> {
        let failed = |error| unavailable("announce the end of a meeting", error);
        connection.begin().await.map_err(failed)?;
        let now = self.meetings.clock.now().as_millis();
        // Another process may have been quicker, or the room has opened again. From here on, neither can.
        let is_due = connection.take_due(session, now).await.map_err(failed)?;
        let sitting = if is_due { connection.sitting(session).await.map_err(failed)? } else { None };
        let Some(sitting) = sitting else {
            connection.rollback().await.map_err(failed)?;
            return Ok(None);
        };
        match self.handler.meeting_ended(connection, &Sitting::from(sitting)).await {
            Ok(()) => {
                connection.commit().await.map_err(failed)?;
                Ok(None)
            }
            Err(error) => {
                connection.rollback().await.map_err(failed)?;
                Ok(Some(error))
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let late = |_| crate::error::not_in_time("announce the ends of meetings", self.timeout);
        timeout(self.timeout, work).await.map_err(late)
    }
}

impl<C> fmt::Debug for Announcer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer")
            .field("meetings", &self.meetings)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// An announcer that runs in a task. Dropping it ends the announcer.
#[derive(Debug)]
#[must_use = "dropping the handle ends the announcer"]
pub struct AnnouncerHandle {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl AnnouncerHandle {
    /// Ends it and waits for that. A handler that runs is cut off, and what it has written is rolled back.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for AnnouncerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
