//! The forms into which a builder converts.

use bytes::Bytes;
use jaas_core::event::{Event, Payload};
use jaas_core::{Delivery, EventHandler, HandlerResult, Incoming, Timestamp};
use serde_json::Value;

use super::EventBuilder;
use crate::signer::{SignedRequest, Signer};

impl<P> EventBuilder<P> {
    /// When it happened; the epoch when it does not say so.
    pub fn happened_at(&self) -> Timestamp {
        let at = self.body.get("timestamp").and_then(Value::as_i64).unwrap_or_default();
        Timestamp::from_millis(at)
    }

    /// The body as a JSON value.
    pub fn json(&self) -> Value {
        self.body.clone()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    /// The body as it travels on the wire.
    pub fn body(&self) -> Bytes {
        self.text().into()
    }

    /// The request that JaaS would send at this time.
    ///
    /// ```
    /// use jaas_core::Timestamp;
    /// use jaas_testkit::{event, Signer};
    ///
    /// let signer = Signer::new("whsec_00000000000000000000000000000000")?;
    /// let request = event::room_created().signed(&signer, Timestamp::from_secs(1_760_000_000));
    /// assert_eq!(request.headers()[0].0, "X-Jaas-Signature");
    /// # Ok::<(), jaas_core::ConfigError>(())
    /// ```
    pub fn signed(&self, signer: &Signer, at: impl Into<Timestamp>) -> SignedRequest {
        signer.sign(at.into(), self.body())
    }

    /// The delivery, as a receiver builds it from a genuine request.
    ///
    /// # Panics
    /// When the envelope was changed so that it cannot be parsed; [`received`](Self::received) accepts such a body.
    #[allow(clippy::panic)]
    pub fn delivery(&self) -> Delivery {
        match self.received() {
            Incoming::Event(delivery) => delivery,
            Incoming::Unreadable(unreadable) => {
                panic!("{self:?} has no valid envelope: {}", unreadable.reason)
            }
        }
    }

    /// The argument of a dispatcher: a delivery, or bytes whose envelope cannot be parsed.
    pub fn received(&self) -> Incoming {
        let received_at = self.received_at.unwrap_or_else(|| self.happened_at());
        match Delivery::parse(self.endpoint.clone(), received_at, self.body()) {
            Ok(delivery) => Incoming::Event(delivery),
            Err(unreadable) => Incoming::Unreadable(unreadable),
        }
    }

    /// The typed event, as the argument of a handler's `any_event`.
    ///
    /// # Panics
    /// As [`delivery`](Self::delivery).
    pub fn event(&self) -> Event {
        self.delivery().event()
    }

    /// Gives the event to a handler, as the worker does: this is a whole unit test.
    ///
    /// ```
    /// use jaas_core::event::RoomCreated;
    /// use jaas_core::{Context, EventHandler, Handled, HandlerResult};
    /// use jaas_testkit::event;
    ///
    /// struct Rooms;
    ///
    /// #[async_trait::async_trait]
    /// impl EventHandler for Rooms {
    ///     async fn room_created(&self, cx: &mut Context<'_>, _: &RoomCreated) -> HandlerResult {
    ///         if cx.envelope().fqn.room() == "test" { Ok(Handled::ignored("a test")) } else { Ok(Handled::Done) }
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert_eq!(event::room_created().in_room("math").handle(&Rooms).await, Ok(Handled::Done));
    /// assert_eq!(event::room_created().in_room("test").handle(&Rooms).await, Ok(Handled::ignored("a test")));
    /// # });
    /// ```
    ///
    /// # Errors
    /// The error that the handler returns.
    ///
    /// # Panics
    /// As [`delivery`](Self::delivery), and when the handler does.
    pub async fn handle(&self, handler: &(impl EventHandler + ?Sized)) -> HandlerResult {
        self.handle_in(handler, &mut ()).await
    }

    /// The same for a handler that writes in a transaction.
    ///
    /// # Errors
    /// The error that the handler returns.
    ///
    /// # Panics
    /// As [`handle`](Self::handle).
    pub async fn handle_in<Tx: Send>(
        &self,
        handler: &(impl EventHandler<Tx> + ?Sized),
        tx: &mut Tx,
    ) -> HandlerResult {
        self.delivery().handle(handler, tx).await
    }
}

impl<P: Payload> EventBuilder<P> {
    /// The typed payload.
    ///
    /// # Panics
    /// When `data` was [set](Self::set) to a value that does not decode as the payload.
    #[allow(clippy::panic)]
    pub fn payload(&self) -> P {
        let data = self.body.get("data").unwrap_or(&Value::Null);
        P::decode(&data.to_string()).unwrap_or_else(|error| panic!("{}: {error}", P::KIND))
    }
}

impl<P> From<EventBuilder<P>> for Incoming {
    fn from(builder: EventBuilder<P>) -> Self {
        builder.received()
    }
}

impl<P> From<EventBuilder<P>> for Value {
    fn from(builder: EventBuilder<P>) -> Self {
        builder.body
    }
}

impl<P> From<EventBuilder<P>> for String {
    fn from(builder: EventBuilder<P>) -> Self {
        builder.text()
    }
}

impl<P> From<EventBuilder<P>> for Bytes {
    fn from(builder: EventBuilder<P>) -> Self {
        builder.body()
    }
}
