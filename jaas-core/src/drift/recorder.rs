//! Keeping what was found, in the background.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use super::found::Drift;
use super::radar::Radar;
use super::store::DriftStore;
use crate::background::Background;
use crate::config::{ConfigError, ConfigErrorKind};
use crate::telemetry::{Escaped, target};

/// The timeout of one write; a store's own timeout should be shorter.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Records at intervals what a [`Radar`] found, and logs each thing when it is new to the store: once, over restarts
/// and any number of processes.
///
/// While the store is unavailable, the radar keeps counting, and nothing is lost unless the process ends.
#[must_use = "it does nothing until it is spawned"]
pub struct DriftRecorder {
    radar: Radar,
    store: Arc<dyn DriftStore>,
    interval: Duration,
}

impl DriftRecorder {
    /// Creates a recorder of what this radar finds.
    pub fn new(radar: Radar, store: impl DriftStore) -> Self {
        Self { radar, store: Arc::new(store), interval: Duration::from_secs(30) }
    }

    /// The wait between two writes. Nothing is written when nothing was found. Defaults to 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Records in a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the interval is zero.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> Result<DriftHandle, ConfigError> {
        if self.interval.is_zero() {
            let message = "the interval of the drift recorder must not be zero";
            return Err(ConfigError::new(ConfigErrorKind::Range, message));
        }
        Ok(DriftHandle(Background::until(|stopped| self.run(stopped))))
    }

    async fn run(self, mut stopped: BoxFuture<'static, ()>) {
        let mut failing = false;
        loop {
            let stopping = tokio::select! {
                () = &mut stopped => true,
                () = sleep(self.interval) => false,
            };
            let written = self.write().await;
            let was_failing = std::mem::replace(&mut failing, written.is_err());
            match written {
                Err(error) if stopping || !was_failing => {
                    tracing::warn!(target: target::STORE, error = %Escaped(&error), "drift not recorded; trying again at the next interval");
                }
                _ => {}
            }
            if stopping {
                return;
            }
        }
    }

    async fn write(&self) -> Result<(), String> {
        let taken = self.radar.take();
        if taken.is_empty() {
            return Ok(());
        }
        let error = match timeout(WRITE_LIMIT, self.store.record_drift(&taken)).await {
            Ok(Ok(new)) => {
                new.iter().for_each(log);
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {WRITE_LIMIT:?}"),
        };
        self.radar.put_back(taken);
        Err(error)
    }
}

fn log(Drift { kind, event_type, field, detail }: &Drift) {
    tracing::info!(
        target: target::WORK, %kind,
        event_type = %Escaped(event_type), field = %Escaped(field), detail = %Escaped(detail),
        "JaaS sends something that this version does not know",
    );
}

impl fmt::Debug for DriftRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriftRecorder")
            .field("radar", &self.radar)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// A recorder that runs in a task. Dropping it ends the recorder without a last write.
#[derive(Debug)]
#[must_use = "dropping the handle ends the recorder"]
pub struct DriftHandle(Background);

impl DriftHandle {
    /// Writes what was found since the last write, and ends the recorder. Call it after the worker has stopped.
    pub async fn stop(self) {
        self.0.stop(()).await;
    }
}
