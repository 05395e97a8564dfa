//! What a store does on a server, from opening to closing.

use std::fmt::Debug;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::store::{
    Accepted, AttemptQuery, AuditNote, EventAdmin as _, EventQuery, EventState, EventStore as _, Failure,
    PageRequest,
};
use jaas_core::{Delivery, Handled, Incoming, Timestamp};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use crate::servers::{self, Server, Settings, joined, joined_at, now, request, step, work};

/// What happens on a server with a setting.
#[derive(Debug)]
pub(crate) enum Seen {
    Works {
        warnings: Vec<String>,
    },
    /// The store does not open.
    Refused(String),
    /// The store opens, and then something does not work, or is not stored.
    Fails(String),
}

/// What else happens meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    Nothing,
    /// Another process migrates for half a second while the store opens.
    SlowMigration,
    /// The store is idle for more than a second.
    Idle,
}

/// Opens a store at this address and makes every call. The runtime must have one thread.
pub(crate) async fn exercise<S: Server>(address: &str, with: With) -> Seen {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    let _captured = tracing::subscriber::set_default(subscriber);
    if with == With::SlowMigration {
        let mut other = S::Connection::establish(address).await.expect("connected");
        other.batch_execute(LOCK[usize::from(S::IS_POSTGRES)]).await.expect("locked");
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(other);
        });
    }
    let store = match S::open_at(address.to_owned(), Settings::default()).await {
        Ok(store) => store,
        Err(error) => return Seen::Refused(error.to_string()),
    };
    let used = used::<S>(&store, address, with).await;
    S::close(&store).await;
    let kept = match used {
        Ok(()) => kept::<S>(address).await,
        Err(why) => Err(why),
    };
    match kept {
        Ok(()) => Seen::Works { warnings: warnings.taken() },
        Err(why) => Seen::Fails(why),
    }
}

/// The locks of the migrations.
const LOCK: [&str; 2] = [
    "DO GET_LOCK(CONCAT('jaas_migrations.', MD5(DATABASE())), 0)",
    "SELECT pg_advisory_lock(hashtext('jaas_migrations'))",
];

/// Values that databases might interpret differently.
const KEY: &str = r#"k\\1 'ü' \"%_\" 🎉 "#;
const EVENTS: usize = 24;

async fn used<S: Server>(store: &S::Store, address: &str, with: With) -> Result<(), String> {
    let mut connection = S::Connection::establish(address).await.map_err(|error| error.to_string())?;
    connection.batch_execute(S::TABLES).await.expect("the application's tables");
    // Several events at the same time are stored in one group.
    let accepts = (0..EVENTS)
        .map(|number| store.accept(joined(&format!("{KEY}{number}"), Some(&format!("s{}", number % 3)))));
    for accepted in futures_util::future::join_all(accepts).await {
        gives("accept", accepted, &Accepted::New)?;
    }
    let copy = |name| joined_at("copy", None, Timestamp::from_millis(1), name);
    gives("accept", store.accept(copy("ü")).await, &Accepted::New)?;
    gives("accept a copy", store.accept(copy("ü")).await, &Accepted::Duplicate)?;
    gives("accept a conflict", store.accept(copy("u")).await, &Accepted::Conflict)?;
    let Err(unreadable) = Delivery::parse("main", now(), "\\x00 ü' no envelope".into()).map(Incoming::Event)
    else {
        return Err("it was read".to_owned());
    };
    gives("quarantine", store.quarantine(unreadable).await, &())?;
    gives("ping", store.ping().await, &())?;

    if with == With::Idle {
        S::fill_pool(store, Settings::default().pool_size).await;
        // The servers' timeouts are in seconds.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let again = store.accept(joined_at("copy", None, Timestamp::from_millis(1), "ü")).await;
        gives("accept a copy", again, &Accepted::Duplicate)?;
    }
    let claims = ok("claim", store.claim(&request(100)).await)?;
    let [first, second, third, ..] = &claims[..] else {
        return Err(format!("only {} were claimed", claims.len()));
    };
    let lost = ok("renew", store.renew(&[first.lease, second.lease], now(), Duration::from_secs(15)).await)?;
    is("renew", &lost.len(), &0)?;
    let noted = Handled::Ignored("because ü".into());
    ok("complete", store.complete(first.lease, &step(), &noted, now()).await)?;
    let insert = work(|tx: &mut S::Connection| {
        Box::pin(async move {
            servers::insert(tx, "run").await?;
            Ok(Handled::Done)
        })
    });
    let ran = ok("run", store.run(second.lease, &step(), now(), insert).await)?;
    gives("run", ran.0.map_err(|error| format!("{error}")), &Handled::Done)?;
    let failure = Failure { error: "\\'ü".into(), retry_in: None, passable: false, next: None };
    ok("fail", store.fail(third.lease, &failure, now()).await)?;
    let others: Vec<_> = claims[3..].iter().map(|claim| claim.lease).collect();
    gives("release", store.release(&others, now()).await, &())?;
    // Nothing is claimed twice, and everything is claimed.
    let mut done = 0;
    while done < EVENTS - 2 {
        let claims = ok("claim", store.claim(&request(100)).await)?;
        if claims.is_empty() {
            return Err(format!("{done} were claimed, and then none"));
        }
        for claim in claims {
            ok("complete", store.complete(claim.lease, &step(), &Handled::Done, now()).await)?;
            done += 1;
        }
    }
    let dead = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let note = AuditNote::new("operator", "ü");
    gives("replay", store.replay_matching(&dead, &note, now()).await.map(|page| page.next), &None)
}

/// What another connection reads afterwards.
async fn kept<S: Server>(address: &str) -> Result<(), String> {
    let store = ok("open again", S::open_at(address.to_owned(), Settings::default()).await)?;
    let events = ok("list", store.events(&EventQuery::default()).await)?.items;
    is("list", &events.len(), &(EVENTS + 1))?;
    let first = events.iter().find(|event| event.session_id.is_some()).ok_or("none has a session")?;
    is("list", &first.idempotency_key.to_string().contains("🎉"), &true)?;
    let count = |state| events.iter().filter(|event| event.state == state).count();
    let states = [EventState::Done, EventState::Ignored, EventState::Waiting].map(count);
    is("settle", &states, &[EVENTS - 1, 1, 1])?;
    let stats = ok("count", store.stats().await)?;
    let counted =
        [EventState::Done, EventState::Ignored, EventState::Waiting].map(|state| stats.count(state) as usize);
    is("count", &counted, &states)?;
    let attempts = ok("list attempts", store.attempts(&AttemptQuery::default()).await)?.items;
    let errors: Vec<_> = attempts.into_iter().filter_map(|attempt| attempt.error).collect();
    is("list attempts", &errors, &vec!["\\'ü".to_owned()])?;
    let first = PageRequest::first();
    gives("list conflicts", store.conflicts(first).await.map(|page| page.items.len()), &1)?;
    gives("list the quarantine", store.quarantined(first).await.map(|page| page.items.len()), &1)?;
    gives("list the audit", store.audit(first).await.map(|page| page.items.len()), &1)?;
    S::close(&store).await;
    let mut connection = S::Connection::establish(address).await.map_err(|error| error.to_string())?;
    gives("run", S::number(&mut connection, "SELECT count(*) FROM effects").await, &1)
}

fn ok<T, E: Display>(operation: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("cannot {operation}: {error}"))
}

fn gives<T: PartialEq + Debug, E: Display>(
    operation: &str,
    result: Result<T, E>,
    wanted: &T,
) -> Result<(), String> {
    is(operation, &ok(operation, result)?, wanted)
}

fn is<T: PartialEq + Debug>(operation: &str, done: &T, wanted: &T) -> Result<(), String> {
    if done == wanted { Ok(()) } else { Err(format!("{operation}: {done:?} and not {wanted:?}")) }
}

/// What was logged at WARN or above.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Each opening logs it.
        if *event.metadata().level() <= tracing::Level::WARN && !warnings.contains(&message.0) {
            warnings.push(message.0);
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
