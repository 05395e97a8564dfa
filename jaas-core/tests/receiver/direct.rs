//! Handlers called inside the request: what is returned, what is remembered, what runs again.

mod a_configuration_that_cannot_work_is_refused;
mod a_handler_that_fails;
mod a_sender_that_hangs_up;
mod an_event_is_handled_once;
mod finish;
mod limits;
mod of_several_handlers;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{EventKind, RoomCreated};
use jaas_core::{
    Auth, Context, Direct, DirectBuilder, Disposition, EventHandler, Handled, HandlerError, HandlerResult,
    Handlers, Receiver, Reply,
};
use jaas_testkit::{Recorder, fixture};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::receiver::support::{Gate, NOW, SECRET, another_body, deliver, event, receiver};

const HANDLED: Reply = Reply::Received(Disposition::Handled);
const IGNORED: Reply = Reply::Received(Disposition::Ignored);
const FAILED: Reply = Reply::Received(Disposition::Failed);
const DUPLICATE: Reply = Reply::Received(Disposition::Duplicate);
const CONFLICT: Reply = Reply::Received(Disposition::Conflict);

fn unavailable(secs: u64) -> Reply {
    Reply::Unavailable { retry_after: Duration::from_secs(secs) }
}

fn builder(handler: impl EventHandler) -> DirectBuilder {
    Direct::builder(Handlers::new().plain("handler", handler))
}

fn built(builder: DirectBuilder) -> Arc<Direct> {
    Arc::new(builder.build().expect("a good configuration"))
}

/// A receiver in front of one handler.
fn direct(handler: impl EventHandler) -> Receiver {
    receiver(built(builder(handler)))
}

/// A handler that waits at a gate whenever a room is created.
struct AtGate(Arc<Gate>);

#[async_trait]
impl EventHandler for AtGate {
    async fn room_created(&self, _: &mut Context<'_>, _: &RoomCreated) -> HandlerResult {
        self.0.pass().await;
        Ok(Handled::Done)
    }
}

/// A recorder that returns `answers` one after another, then that the work is done.
fn answering(answers: impl IntoIterator<Item = fn() -> HandlerResult>) -> Recorder {
    let answers: Vec<_> = answers.into_iter().collect();
    let calls = AtomicUsize::new(0);
    Recorder::answering(move |_| match answers.get(calls.fetch_add(1, Ordering::SeqCst)) {
        Some(answer) => answer(),
        None => Ok(Handled::Done),
    })
}

fn retry() -> HandlerResult {
    Err(HandlerError::retry("the calendar is away"))
}

fn retry_in_a_minute() -> HandlerResult {
    Err(HandlerError::retry_after(Duration::from_secs(60), "the calendar is being moved"))
}

fn permanent() -> HandlerResult {
    Err(HandlerError::permanent("there is no such room"))
}

fn ignored() -> HandlerResult {
    Ok(Handled::ignored("not our room"))
}

fn panics() -> HandlerResult {
    panic!("on purpose")
}

/// Delivers in a separate task.
fn spawn(receiver: &Arc<Receiver>, key: &'static str) -> JoinHandle<Reply> {
    let receiver = receiver.clone();
    tokio::spawn(async move { deliver(&receiver, event(key)).await })
}
