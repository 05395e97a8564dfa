//! What operators and the purger call.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use jaas_core::archive::ArtifactStore;
use jaas_core::meetings::TimePageRequest;
use jaas_core::settings::{SettingsLog, SettingsQuery};
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    AttemptOutcome, AttemptQuery, AuditNote, DeadLetterGroup, DeadLetterKey, EventAdmin, EventQuery,
    EventState, Keep, PageRequest, Retention, RowId,
};
use jaas_core::{Fqn, Handled, Timestamp};

use crate::calls::Meter;
use crate::fill::LONG_SESSION;
use crate::servers::{now, work};

/// How many rows a page has.
const PAGE: usize = 20;
/// A page whose filter has no index looks at 2,000 candidates: more than a full page, and less than the table has.
const CANDIDATES: usize = 600;
/// The records of a room, which are read to be sorted: there is one for each of its meetings.
const RECORDS: usize = 200;
/// The files of one phase that wait or are being fetched, of the filled inbox.
const OPEN_OF_A_PHASE: usize = 334;
/// Dead letters are read to be grouped, but not all 2,000 of the filled inbox.
const DEAD: usize = DeadLetterGroup::MAX_EVENTS;

macro_rules! names {
    ($($op:ident $method:ident($($args:tt)*) -> [$($result:tt)*];)*) => {
        /// The methods of [`EventAdmin`].
        const METHODS: &[&str] = &[$(stringify!($method)),*];
    };
}
jaas_core::store::tools::event_admin_methods!(names, TxWork<()>);

/// Measures calls, and knows which methods were measured.
struct Measured<'m, M> {
    meter: &'m mut M,
    methods: BTreeSet<&'static str>,
}

impl<M: Meter> Measured<'_, M> {
    async fn call<T, E: Debug>(
        &mut self,
        method: &'static str,
        what: &str,
        n: usize,
        result: impl Future<Output = Result<T, E>>,
    ) -> T {
        self.methods.insert(method);
        self.meter.call(&format!("{method} {what}"), n, result).await
    }
}

fn newest() -> PageRequest {
    PageRequest { limit: PAGE as u32, ..PageRequest::newest() }
}

/// Each filter of a list of events, alone and in plausible pairs, with the number of rows that it may read.
fn filters() -> Vec<(&'static str, usize, EventQuery)> {
    let all = || EventQuery { page: newest(), ..EventQuery::default() };
    let kind = || Some("RECORDING_UPLOADED".to_owned());
    let at = |millis| Some(Timestamp::from_millis(millis));
    let state = |state| EventQuery { state: Some(state), ..all() };
    let session = || EventQuery { session_id: Some(LONG_SESSION.into()), ..all() };
    let room = || EventQuery { fqn: Some(Fqn::new("app/room7")), ..all() };
    let group = DeadLetterKey { event_type: "RECORDING_UPLOADED".into(), error: None };
    let key = || EventQuery { idempotency_key: Some("settled7".into()), ..all() };
    vec![
        ("without a filter", PAGE, all()),
        ("by state waiting", PAGE, state(EventState::Waiting)),
        ("by state running", PAGE, state(EventState::Running)),
        ("by state done", PAGE, state(EventState::Done)),
        ("by state ignored", PAGE, state(EventState::Ignored)),
        ("by state dead", PAGE, state(EventState::Dead)),
        ("by session", PAGE, session()),
        ("by room", PAGE, room()),
        ("by key", PAGE, key()),
        ("by key and endpoint", PAGE, EventQuery { endpoint: Some("main".into()), ..key() }),
        ("by key and state", PAGE, EventQuery { state: Some(EventState::Dead), ..key() }),
        // What no event has is the dearest.
        ("by type", CANDIDATES, EventQuery { event_type: kind(), ..all() }),
        ("by endpoint", CANDIDATES, EventQuery { endpoint: Some("none".into()), ..all() }),
        ("by time", CANDIDATES, EventQuery { from: at(-2), until: at(-1), ..all() }),
        ("by state and type", CANDIDATES, EventQuery { event_type: kind(), ..state(EventState::Done) }),
        ("by state and time", CANDIDATES, EventQuery { until: at(-1), ..state(EventState::Done) }),
        ("by state and session", CANDIDATES, EventQuery { state: Some(EventState::Discarded), ..session() }),
        ("by room and type", CANDIDATES, EventQuery { event_type: kind(), ..room() }),
        ("by room and time", CANDIDATES, EventQuery { until: at(-1), ..room() }),
        ("by session and type", CANDIDATES, EventQuery { event_type: kind(), ..session() }),
        ("by group", CANDIDATES, EventQuery { dead_letter: Some(group), ..all() }),
    ]
}

/// Makes every call of an operator, the purger and the monitor in a filled inbox.
pub(crate) async fn lists<S: EventAdmin + SettingsLog + ArtifactStore>(store: &S, meter: &mut impl Meter) {
    meter.read_lists();
    let mut measured = Measured { meter, methods: BTreeSet::new() };
    for (what, n, query) in filters() {
        measured.call("events", what, n, store.events(&query)).await;
        let oldest = EventQuery { page: PageRequest { newest_first: false, ..query.page }, ..query };
        measured.call("events", &format!("{what}, oldest first"), n, store.events(&oldest)).await;
    }
    of_one_event(store, &mut measured).await;
    histories(store, &mut measured).await;
    acts(store, &mut measured).await;
    let missing: Vec<_> = METHODS.iter().filter(|method| !measured.methods.contains(**method)).collect();
    let found = measured.meter.failures();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(missing.is_empty(), "the rows that these methods read are not measured: {missing:?}");
}

async fn of_one_event<S: EventAdmin, M: Meter>(store: &S, measured: &mut Measured<'_, M>) {
    let key = EventQuery { idempotency_key: Some("later7".into()), ..EventQuery::default() };
    let waiting = store.events(&key).await.expect("listed").items.remove(0).id;
    measured.call("event", "by row", 1, store.event(waiting)).await;
    let queue = measured.call("queue_of", "a waiting event", 4, store.queue_of(waiting)).await;
    assert!(queue.expect("it waits").first.is_some());
    measured.call("conflicts_of", "an event", PAGE, store.conflicts_of(waiting, newest())).await;
    measured.call("audit_of", "an event", PAGE, store.audit_of(RowId::new(7), newest())).await;
    for outcome in [None, Some(AttemptOutcome::Failed), Some(AttemptOutcome::Crashed)] {
        for event in [None, Some(RowId::new(7))] {
            let query = AttemptQuery { event, outcome, page: newest() };
            measured.call("attempts", &format!("{event:?} {outcome:?}"), PAGE, store.attempts(&query)).await;
        }
    }
}

async fn histories<S: EventAdmin + SettingsLog + ArtifactStore, M: Meter>(
    store: &S,
    measured: &mut Measured<'_, M>,
) {
    measured.call("conflicts", "newest first", PAGE, store.conflicts(newest())).await;
    measured.call("quarantined", "newest first", PAGE, store.quarantined(newest())).await;
    measured.call("audit", "newest first", PAGE, store.audit(newest())).await;
    let groups = measured.call("dead_letters", "grouped", DEAD, store.dead_letters()).await;
    assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), DEAD as u64);
    measured.call("stats", "of all", PAGE, store.stats()).await;
    measured.call("record_activity", "now", 30, store.record_activity(now())).await;
    let since = now().saturating_sub(Duration::from_secs(24 * 60 * 60));
    measured.call("activity", "of a day", 1_440, store.activity(since, now())).await;
    let by_room =
        SettingsQuery { fqn: Some(Fqn::new("tenant/room7")), page: newest(), ..SettingsQuery::default() };
    measured.call("settings_records", "of a room", RECORDS, store.settings_records(&by_room)).await;
    let open = TimePageRequest { limit: PAGE as u32, ..TimePageRequest::first() };
    // Never those that are settled. PostgreSQL without statistics sorts what is open in each of three phases.
    let first = measured.meter.call("open_artifacts", OPEN_OF_A_PHASE, store.open_artifacts(&open)).await;
    let next = TimePageRequest { after: first.next, ..open };
    assert!(next.after.is_some(), "more are open than a page has");
    measured.meter.call("open_artifacts, the next page", OPEN_OF_A_PHASE, store.open_artifacts(&next)).await;
    let all = SettingsQuery { page: newest(), ..SettingsQuery::default() };
    measured.call("settings_records", "newest first", PAGE, store.settings_records(&all)).await;
}

async fn acts<S: EventAdmin + SettingsLog + ArtifactStore, M: Meter>(
    store: &S,
    measured: &mut Measured<'_, M>,
) {
    let note = AuditNote::new("operator", "to see what it costs");
    let few = PageRequest { limit: 5, ..PageRequest::first() };
    let dead = EventQuery { state: Some(EventState::Dead), page: few, ..EventQuery::default() };
    let page = store.events(&dead).await.expect("listed").items;
    let (first, second) = (page[0].id, page[1].id);
    measured.call("reveal", "a body", 1, store.reveal(first, &note, now())).await;
    measured.call("record_rehearsal", "", 1, store.record_rehearsal(first, &note, now())).await;
    measured.call("replay", "an event", 4, store.replay(first, &note, now())).await;
    measured.call("discard", "an event", 4, store.discard(second, &note, now())).await;
    measured.call("replay_matching", "dead letters", 20, store.replay_matching(&dead, &note, now())).await;
    measured.call("discard_matching", "dead letters", 20, store.discard_matching(&dead, &note, now())).await;
    let again =
        measured.call("replay_quarantined", "", 20, store.replay_quarantined(few, &note, now())).await;
    assert_eq!(again.unreadable, 5);
    let handler = work(|_: &mut S::Tx| Box::pin(async { Ok(Handled::Done) }));
    // It reads nothing: the work has its own statements.
    measured.methods.insert("rehearse");
    let _ = store.rehearse(handler).await.expect("ran");
    let session = "settled11".into();
    measured.call("erase_session", "of 100 events", 600, store.erase_session(&session, &note, now())).await;
    let retention = Retention::builder(Tolerance::default())
        .events(EventState::Ignored, Keep::days(30).newest(9_000))
        .conflicts(Keep::days(1).newest(10))
        .build()
        .expect("built");
    measured.call("purge", "10 of each", 60, store.purge(&retention, now(), 10)).await;
}
