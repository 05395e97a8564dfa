//! How many statements an event takes.

use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use jaas_core::meetings::DeviceKey;
use jaas_core::store::EventStore as _;
use jaas_core::store::{EventAdmin as _, EventState};
use jaas_core::{Handlers, Worker};
use jaas_diesel::SqliteStore;
use jaas_diesel::meetings::Meetings;
use jaas_testkit::simulator::{Day, Meeting};

use crate::meetings::dump::TABLES;
use crate::meetings::world::stop;

const FILE: &str = "counted.sqlite";

/// The statements on the tables of meetings that were sent to this test's file.
static SENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Default)]
struct Notes {
    is_counted: bool,
}

impl Instrumentation for Notes {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                self.is_counted = url.contains(FILE);
            }
            InstrumentationEvent::StartQuery { query, .. } if self.is_counted => {
                let sql = query.to_string();
                if TABLES.iter().any(|(table, _)| sql.contains(table)) {
                    SENT.lock().expect("not poisoned").push(sql);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_takes_at_most_three_statements() {
    set_default_instrumentation(|| Some(Box::<Notes>::default())).expect("set");
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path().join(FILE)).await.expect("opened");
    let key = DeviceKey::new("0123456789abcdef").expect("long enough");
    let meetings = Meetings::builder().devices(key).phrases(true).build().expect("built");
    let handlers = Handlers::new().transactional("meetings", meetings.handler());
    let worker = Worker::builder(store.clone(), handlers).build().expect("a worker").spawn();
    let mut most = 0;
    let (mut settled, mut kinds) = (0, std::collections::BTreeSet::new());
    for delivery in Day::new(5).meetings(4).play().iter().flat_map(Meeting::deliveries) {
        SENT.lock().expect("not poisoned").clear();
        let kind = delivery.envelope.kind;
        store.accept(delivery).await.expect("accepted");
        settled += 1;
        loop {
            let stats = store.stats().await.expect("counted");
            if stats.count(EventState::Done) + stats.count(EventState::Ignored) == settled {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let sent = SENT.lock().expect("not poisoned").clone();
        assert!(sent.len() <= 3, "{kind:?}: {sent:#?}");
        most = most.max(sent.len());
        kinds.extend((!sent.is_empty()).then_some(kind.as_str()));
    }
    stop(vec![worker]).await;
    assert!(most == 3 && kinds.len() > 15, "{most} statements at most, of {kinds:?}");
}
