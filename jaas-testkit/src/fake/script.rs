//! What happens to the next runs, as scripted by a test.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jaas_core::event::Event;
use jaas_core::{Context, Delivery, EventHandler, HandlerError, HandlerResult, IdempotencyKey};
use parking_lot::{Mutex, MutexGuard};

/// What happens to one run.
pub(super) enum Act {
    Fail(String),
    LoseAnswer,
    Panic(String),
    Delay(Duration),
}

#[derive(Default)]
pub(super) struct Script {
    acts: Mutex<VecDeque<Act>>,
    failures: Mutex<HashMap<Key, String>>,
    taken: Mutex<Vec<Delivery>>,
}

type Key = (Arc<str>, IdempotencyKey);

impl Script {
    pub(super) fn push(&self, act: Act) {
        lock(&self.acts).push_back(act);
    }

    /// A run with its part of the script.
    #[allow(clippy::panic)]
    pub(super) async fn play<T, E>(
        &self,
        run: impl Future<Output = Result<T, E>> + Send,
        fail: impl FnOnce(String) -> E + Send,
    ) -> Result<T, E> {
        let act = lock(&self.acts).pop_front();
        match act {
            None => run.await,
            Some(Act::Fail(why)) => Err(fail(why)),
            Some(Act::LoseAnswer) => {
                run.await?;
                Err(fail("the response was lost, as scripted".to_owned()))
            }
            Some(Act::Panic(message)) => panic!("{message}"),
            Some(Act::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                run.await
            }
        }
    }

    /// Notes an event that was stored, or whose run succeeded.
    pub(super) fn took(&self, delivery: &Delivery) {
        lock(&self.taken).push(delivery.clone());
    }

    pub(super) fn taken(&self) -> Vec<Delivery> {
        lock(&self.taken).clone()
    }

    /// How the last run of this event failed, if it did; returned once.
    pub(super) fn take_failure(&self, delivery: &Delivery) -> Option<String> {
        lock(&self.failures).remove(&key(delivery))
    }
}

/// A handler whose runs follow a script, and whose failures are noted.
pub(super) struct Scripted<H> {
    handler: H,
    script: Arc<Script>,
}

impl<H> Scripted<H> {
    pub(super) fn new(handler: H, script: Arc<Script>) -> Self {
        Self { handler, script }
    }

    fn note(&self, delivery: &Delivery, failure: String) {
        lock(&self.script.failures).insert(key(delivery), failure);
    }
}

#[async_trait]
impl<H: EventHandler> EventHandler for Scripted<H> {
    async fn any_event(&self, cx: &mut Context<'_>, event: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        // A run whose sender hung up may have left its failure here.
        self.script.take_failure(delivery);
        let run = async {
            let result = self.handler.any_event(cx, event).await;
            if result.is_ok() {
                self.script.took(delivery);
            }
            result
        };
        let run = self.script.play(run, HandlerError::retry);
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(result) => {
                if let Err(error) = &result {
                    self.note(delivery, error.to_string());
                }
                result
            }
            Err(panic) => {
                self.note(delivery, format!("the handler panicked: {}", message(&*panic)));
                resume_unwind(panic)
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn key(delivery: &Delivery) -> Key {
    (delivery.endpoint.clone(), delivery.envelope.idempotency_key.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
