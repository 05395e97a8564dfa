//! JaaS in this application: the receiver, the worker, and how they stop.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_actix::{Console, Health, Webhook};
use jaas_core::signature::Tolerance;
use jaas_core::store::Retention;
use jaas_core::watch::{AuditorHandle, Gap, GapHandler, Watch};
use jaas_core::{
    Auth, HandlerError, Handlers, Inbox, Monitor, MonitorHandle, Purger, PurgerHandle, Receiver, Worker,
    WorkerHandle,
};

use crate::attendance::Attendance;
use crate::auth;
use crate::database::{Connection, Store};
use crate::telemetry::OpenTelemetry;

pub(crate) struct Jaas {
    store: Store,
    receiver: Arc<Receiver>,
    worker: WorkerHandle,
    purger: PurgerHandle,
    monitor: MonitorHandle,
    watch: Watch<Store>,
    auditor: AuditorHandle,
}

pub(crate) fn start(store: Store, secrets: &[String]) -> Result<Jaas, Box<dyn Error>> {
    let receiver = Receiver::builder("main", Auth::signature(secrets)?, Inbox::new(store.clone()))
        .trace_propagator(OpenTelemetry)
        .build()?;
    let watch = Watch::builder(store.clone()).build()?;
    let worker = Worker::builder(store.clone(), handlers(&watch))
        .trace_propagator(OpenTelemetry)
        .transaction_timeout(Duration::from_secs(5))
        // Fewer than the pool's connections, so that some are left for the application's routes.
        .concurrency(8)
        .build()?;
    // Only the purger deletes settled events, and only the monitor measures the queue.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    let monitor = Monitor::new(store.clone()).spawn()?;
    let (receiver, worker, auditor) = (Arc::new(receiver), worker.spawn(), watch.spawn(Log));
    Ok(Jaas { store, receiver, worker, purger, monitor, watch, auditor })
}

fn handlers(watch: &Watch<Store>) -> Handlers<Connection> {
    Handlers::new().transactional("attendance", Attendance).transactional("watch", watch.handler())
}

/// Logs what should have come and did not. The console lists it too.
struct Log;

#[async_trait]
impl GapHandler<Connection> for Log {
    async fn on_gap(&self, _: &mut Connection, gap: &Gap) -> Result<(), HandlerError> {
        let (rule, session) = (gap.rule.as_str(), gap.session_id.as_str());
        tracing::warn!(rule, session, "an event that should have come did not");
        Ok(())
    }
}

impl Jaas {
    /// The paths are relative to the scope.
    pub(crate) fn webhook(&self) -> Webhook {
        Webhook::new(self.receiver.clone()).at("/jaas")
    }

    pub(crate) fn health(&self) -> Health {
        Health::new()
            .receiver(self.receiver.clone())
            .store(self.store.clone())
            .live_check("worker", self.worker.liveness())
    }

    /// Pages for operators. They have no login: what is mounted around them must have one.
    pub(crate) fn console(&self) -> Console<Store> {
        Console::new(self.store.clone(), auth::operator)
            .handlers(handlers(&self.watch))
            .gaps(self.store.clone())
    }

    /// Call this after the server has stopped.
    pub(crate) async fn stop(self) {
        self.receiver.close();
        let stopped = self.worker.stop(Duration::from_secs(10)).await;
        self.auditor.stop(Duration::from_secs(10)).await;
        self.monitor.stop().await;
        self.purger.stop().await;
        self.store.close().await;
        tracing::info!(interrupted = stopped.interrupted, "stopped");
    }
}
