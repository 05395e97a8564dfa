//! What a failing check writes to the log. Alone in its file, because the subscriber is global.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jaas_actix::Health;
use support::Server;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the lines of this crate.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("jaas::http") && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[actix_web::test]
async fn a_check_is_logged_when_it_begins_to_fail_and_when_it_recovers() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let seen = failing.clone();
    let health = Health::new().check("store", move || {
        let failing = seen.load(Ordering::Relaxed);
        async move { if failing { Err("the disk is full") } else { Ok(()) } }
    });
    let server = Server::with_health(health).await;
    for (fails, status) in [(false, 200), (true, 503), (false, 200)] {
        failing.store(fails, Ordering::Relaxed);
        // Each probe is a separate connection, so both worker threads take part.
        for _ in 0..6 {
            assert_eq!(server.answer("GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n").await.status, status);
        }
    }
    let lines = lines.0.lock().unwrap().clone();
    assert_eq!(
        lines,
        [
            "WARN message=health check fails; the endpoint responds 503 check=store error=the disk is full",
            "INFO message=health check succeeds again check=store",
        ]
    );
    server.stop().await;
}
