//! A link is in the event's body and nowhere else.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::archive::FetchErrorKind;
use tracing_subscriber::fmt::MakeWriter;

use crate::archive::world::{Act, HOUR, World, pass};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn no_link_is_in_a_log_line_a_record_or_a_name() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(captured.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // While there is only one subscriber, a thread without it that logs a line first could silence this line.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let world = World::start();
    for (key, act) in [
        ("k-1", Act::File("a recording")),
        ("k-2", Act::Fail(FetchErrorKind::Gone)),
        ("k-3", Act::Fail(FetchErrorKind::Refused)),
        ("k-4", Act::Fail(FetchErrorKind::NotAllowed)),
        ("k-5", Act::Fail(FetchErrorKind::Failed)),
    ] {
        world.event(key, 7 * HOUR, [act]).await;
    }
    pass(8 * HOUR).await;
    assert_eq!(world.heard.lines().iter().filter(|line| !line.starts_with("at risk")).count(), 5);
    let records = format!("{:?}", world.records().await);
    let names = world.sink.names().join(" ");
    world.stop(Duration::from_secs(1)).await;
    let log = String::from_utf8(captured.0.lock().expect("not poisoned").clone()).expect("text");
    for line in ["file stored", "file lost", "file at risk", "trying again later"] {
        assert!(log.contains(line), "{line} is logged");
    }
    for text in [log, records, names] {
        assert!(!text.contains("token") && !text.contains("https://"), "{text}");
    }
}
