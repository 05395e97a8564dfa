//! Health endpoints for orchestrators and load balancers.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::{self, Future};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, ServiceConfig};
use futures_util::future::{FutureExt as _, LocalBoxFuture, join_all};
use jaas_core::Receiver;
use jaas_core::store::EventStore;
use jaas_core::telemetry::{Escaped, target};

/// Serves two health checks of the process, for an orchestrator or a load balancer.
///
/// - *Live?* 200, unless a [`live_check`](Self::live_check) returns `false`. A 503 asks for a restart.
/// - *Ready?* 200 when the [`store`](Self::store) could accept an event, every [`check`](Self::check) succeeds and every
///   [`receiver`](Self::receiver) is open and takes deliveries.
///   A 503 asks for no traffic for now.
///
/// The body is `{"failed":[]}` with the names of the checks that failed. The reason is only logged, when a check begins
/// to fail and when it recovers, not at each probe. It serves `GET` and `HEAD`, with `Cache-Control: no-store` in each
/// response.
///
/// Build it once, outside the closure passed to `HttpServer::new`, so that worker threads share its state.
///
/// ```
/// use actix_web::App;
/// use jaas_actix::Health;
/// use jaas_core::store::MemoryStore;
/// use std::sync::Arc;
///
/// let health = Health::new().store(Arc::new(MemoryStore::new()));
/// let app = App::new().configure(health.config());
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Health {
    live_path: String,
    ready_path: String,
    timeout: Duration,
    live: Vec<Check>,
    ready: Vec<Check>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Creates health endpoints with the default paths and without checks.
    pub fn new() -> Self {
        Self {
            live_path: "/livez".to_owned(),
            ready_path: "/readyz".to_owned(),
            timeout: Duration::from_secs(2),
            live: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// The path of the liveness check. Defaults to `/livez`.
    pub fn live_at(mut self, path: impl Into<String>) -> Self {
        self.live_path = path.into();
        self
    }

    /// The path of the readiness check. Defaults to `/readyz`.
    pub fn ready_at(mut self, path: impl Into<String>) -> Self {
        self.ready_path = path.into();
        self
    }

    /// The timeout of each readiness check, after which it counts as failed. The checks run at the same time, so this
    /// also bounds the response time. Defaults to 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes readiness depend on this check. It runs on a worker thread and must not block it; its future is dropped at
    /// the timeout.
    pub fn check<F, Fut, E>(mut self, name: impl Into<Arc<str>>, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
        E: Display,
    {
        let run = move || check().map(|result| result.map_err(|error| error.to_string())).boxed_local();
        self.ready.push(Check::new(name, run));
        self
    }

    /// Makes readiness depend on whether this store could accept an event now ([`EventStore::ping`]). The check is named
    /// `store`.
    pub fn store(self, store: impl EventStore) -> Self {
        let store = Arc::new(store);
        self.check("store", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
    }

    /// Makes readiness fail once this receiver is closed, and while it [refuses](Receiver::is_refusing) every delivery.
    /// The check is named `receiver` and its endpoint.
    ///
    /// A receiver refuses when its dispatcher has accepted none of the last 20 deliveries. It is ready again with the
    /// first delivery that is accepted, or 30 s after the last one that was not. When no more arrive, because a load
    /// balancer has removed the instance, readiness depends on the other checks, and the next refused delivery makes it
    /// fail again.
    pub fn receiver(mut self, receiver: impl Into<Arc<Receiver>>) -> Self {
        let receiver = receiver.into();
        let name = format!("receiver {}", receiver.endpoint());
        let run = move || {
            let result = if receiver.is_closed() {
                Err("it was closed".to_owned())
            } else if receiver.is_refusing() {
                Err("it refused all of its last deliveries; the log has the reason of each".to_owned())
            } else {
                Ok(())
            };
            future::ready(result).boxed_local()
        };
        self.ready.push(Check::new(name, run));
        self
    }

    /// Makes liveness depend on this check, such as [`WorkerHandle::liveness`](jaas_core::WorkerHandle::liveness). Do
    /// not check what a restart would not fix, such as a database.
    pub fn live_check(
        mut self,
        name: impl Into<Arc<str>>,
        is_live: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.live.push(Check::of(name, "it reports that it is not live", is_live));
        self
    }

    /// The function to pass to `App::configure` or `Scope::configure`.
    pub fn config(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let Self { live_path, ready_path, timeout, live, ready } = self.clone();
        move |app| {
            app.service(probe(&live_path, live.into(), timeout));
            app.service(probe(&ready_path, ready.into(), timeout));
        }
    }
}

fn probe(path: &str, checks: Arc<[Check]>, timeout: Duration) -> actix_web::Resource {
    let handler = move || answer(checks.clone(), timeout);
    web::resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler))
}

async fn answer(checks: Arc<[Check]>, timeout: Duration) -> HttpResponse {
    let succeeded = join_all(checks.iter().map(|check| check.succeeds(timeout))).await;
    let failed: Vec<&str> =
        checks.iter().zip(succeeded).filter(|(_, well)| !well).map(|(check, _)| &*check.name).collect();
    let mut response =
        if failed.is_empty() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(BTreeMap::from([("failed", failed)]))
}

/// One check.
#[derive(Clone)]
struct Check {
    name: Arc<str>,
    run: Arc<dyn Fn() -> LocalBoxFuture<'static, Result<(), String>> + Send + Sync>,
    failing: Arc<AtomicBool>,
}

impl Check {
    fn new(
        name: impl Into<Arc<str>>,
        run: impl Fn() -> LocalBoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), run: Arc::new(run), failing: Arc::default() }
    }

    fn of(
        name: impl Into<Arc<str>>,
        otherwise: &'static str,
        is_well: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let run = move || {
            let result = if is_well() { Ok(()) } else { Err(otherwise.to_owned()) };
            future::ready(result).boxed_local()
        };
        Self::new(name, run)
    }

    async fn succeeds(&self, timeout: Duration) -> bool {
        let result = match tokio::time::timeout(timeout, (self.run)()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no response within {timeout:?}")),
        };
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => {
                tracing::warn!(target: target::HTTP, check = %self.name, error = %Escaped(error), "health check fails; the endpoint responds 503");
            }
            Ok(()) if was_failing => {
                tracing::info!(target: target::HTTP, check = %self.name, "health check succeeds again");
            }
            _ => {}
        }
        result.is_ok()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("failing", &self.failing)
            .finish_non_exhaustive()
    }
}
