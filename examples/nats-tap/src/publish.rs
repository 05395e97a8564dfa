//! The handler of the tap's inbox: it publishes an event and waits until the stream has it.

use async_nats::jetstream::message::PublishMessage;
use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerResult};

use crate::broker::Broker;
use crate::subject::{message_id, subject};

/// The worker runs it for one event of a session at a time, so the stream has a session in its order.
pub(crate) struct Publish {
    broker: Broker,
}

impl Publish {
    pub(crate) fn to(broker: Broker) -> Self {
        Self { broker }
    }
}

#[async_trait]
impl EventHandler for Publish {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        let known = self.broker.publish(subject(delivery), message(delivery)).await?;
        if known {
            tracing::debug!(attempt = cx.attempt(), "the stream had the event already");
        }
        Ok(Handled::Done)
    }
}

fn message(delivery: &Delivery) -> PublishMessage {
    let message = PublishMessage::build()
        .message_id(message_id(delivery))
        .header("Content-Type", "application/json")
        .payload(delivery.body().clone());
    let Some(trace) = &delivery.trace else { return message };
    let message = message.header("traceparent", trace.traceparent());
    match trace.tracestate() {
        Some(state) => message.header("tracestate", state),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use jaas_core::Timestamp;
    use jaas_core::telemetry::TraceContext;

    use super::*;

    #[test]
    fn a_message_has_the_id_of_its_event_and_continues_its_trace() {
        let trace =
            TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("vendor=1"));
        let body = r#"{"idempotencyKey":"k-1","eventType":"ROOM_CREATED"}"#;
        let delivery = Delivery::parse("main", Timestamp::from_secs(1), body.into()).expect("an envelope");
        let sent = message(&delivery.with_trace(trace)).outbound_message("jaas");
        let headers = sent.headers.expect("headers");
        let header = |name: &str| headers.get(name).expect(name).as_str().to_owned();
        assert_eq!(header("Nats-Msg-Id"), "main/k-1");
        assert_eq!(header("traceparent"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(header("tracestate"), "vendor=1");
        assert_eq!(&*sent.payload, body.as_bytes());
    }
}
