//! Trying handlers on a stored event without any effect on the database.

use std::sync::Arc;
use std::time::Duration;

use super::{Handlers, Mode};
use crate::attempt::{self, Watched};
use crate::delivery::Delivery;
use crate::handler::HandlerResult;
use crate::store::{EventAdmin, RowId, StoreError, StoreErrorKind, TxWork};

/// What a handler would do with an event.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Rehearsed {
    /// The handler ran, its transaction was rolled back, and this is what it returned. A panic and a timeout are
    /// failures, as in a worker.
    Returned(HandlerResult),
    /// The handler is a plain one. It did not run, because nothing could undo its effects.
    Skipped,
}

impl<Tx: Send + 'static> Handlers<Tx> {
    /// Runs each transactional handler on a stored event, whatever its state, in a transaction that is rolled back;
    /// plain handlers are named and skipped. Nothing about the event changes, and no lease is taken. Use it to see
    /// whether a dead letter would be handled now, before you replay it.
    ///
    /// Each handler may run for `timeout`. Effects outside its transaction, such as an HTTP request, are not undone.
    ///
    /// # Errors
    /// [`NotFound`](StoreErrorKind::NotFound) when there is no such event, [`Erased`](StoreErrorKind::Erased) when its
    /// body is gone, [`Corrupt`](StoreErrorKind::Corrupt) when its body cannot be parsed, and the errors of the store.
    ///
    /// ```
    /// use jaas_core::store::{EventAdmin, EventQuery, EventStore, MemoryStore};
    /// use jaas_core::{Delivery, EventHandler, Handlers, Rehearsed, Timestamp};
    /// use std::time::Duration;
    ///
    /// struct Attendance;
    /// impl EventHandler for Attendance {}
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let store = MemoryStore::new();
    /// let body = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","fqn":"app/room"}"#;
    /// let delivery = Delivery::parse("main", Timestamp::from_millis(0), body.into()).expect("an envelope");
    /// store.accept(delivery).await?;
    /// let event = store.events(&EventQuery::default()).await?.items[0].id;
    ///
    /// let handlers = Handlers::new().transactional("attendance", Attendance).plain("mail", Attendance);
    /// let rehearsed = handlers.rehearse(&store, event, Duration::from_secs(10)).await?;
    /// assert!(matches!(&rehearsed[0], (name, Rehearsed::Returned(Ok(_))) if &**name == "attendance"));
    /// assert!(matches!(&rehearsed[1], (name, Rehearsed::Skipped) if &**name == "mail"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn rehearse<S: EventAdmin<Tx = Tx> + ?Sized>(
        &self,
        store: &S,
        event: RowId,
        timeout: Duration,
    ) -> Result<Vec<(Arc<str>, Rehearsed)>, StoreError> {
        let stored = store.event(event).await?.ok_or_else(|| StoreError::not_found(event))?;
        if stored.erased_at.is_some() {
            return Err(StoreError::erased(event));
        }
        let attempts = stored.failures.saturating_add(stored.crashes).saturating_add(stored.interruptions);
        let body = bytes::Bytes::clone(&stored.body);
        let delivery = Delivery::parse(stored.endpoint, stored.received_at, body).map_err(|unreadable| {
            StoreError::new(
                StoreErrorKind::Corrupt,
                format!("cannot rehearse event {event}: its body cannot be parsed: {}", unreadable.reason),
            )
        })?;
        let delivery = Arc::new(delivery.with_attempt(attempts.saturating_add(1)).with_trace(stored.trace));
        let decoded = Arc::new(delivery.decoded().0);
        let mut rehearsed = Vec::new();
        for mounted in self.iter() {
            let outcome = match &mounted.handler {
                Mode::Plain(_) => Rehearsed::Skipped,
                Mode::Transactional(handler) => {
                    let (handler, delivery, decoded) = (handler.clone(), delivery.clone(), decoded.clone());
                    let watched = Watched::new(&mounted.seconds, "rehearsed");
                    let work: TxWork<Tx> = Box::new(move |tx| {
                        Box::pin(async move {
                            attempt::run(watched, &*handler, &delivery, &decoded, tx, timeout).await
                        })
                    });
                    Rehearsed::Returned(store.rehearse(work).await?)
                }
            };
            rehearsed.push((mounted.name.clone(), outcome));
        }
        Ok(rehearsed)
    }
}
