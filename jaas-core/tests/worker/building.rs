//! Configurations that cannot work.

use std::time::Duration;

use jaas_core::store::MemoryStore;
use jaas_core::{Backoff, Handlers, Worker, WorkerBuilder};
use jaas_testkit::Recorder;

fn builder() -> WorkerBuilder<MemoryStore> {
    Worker::builder(MemoryStore::new(), Handlers::new().plain("handler", Recorder::new()))
}

#[test]
fn a_worker_is_built_with_the_defaults() {
    assert!(builder().build().is_ok());
}

#[test]
fn values_of_zero_are_refused_by_name() {
    for (worker, name) in [
        (builder().concurrency(0), "concurrency"),
        (builder().lease(Duration::ZERO), "lease"),
        (builder().handler_timeout(Duration::ZERO), "handler_timeout"),
        (builder().max_crashes(0), "max_crashes"),
        (builder().backoff(Backoff::default().max_failures(0)), "max_failures"),
        (builder().poll_interval(Duration::ZERO), "poll_interval"),
    ] {
        let error = worker.build().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_timeout_of_zero_or_for_a_handler_that_does_not_exist_is_refused_by_name() {
    let limited = |name: &str, limit| {
        let handlers = Handlers::new().plain("archive", Recorder::new()).timeout(name, limit);
        Worker::builder(MemoryStore::new(), handlers.plain("audit", Recorder::new())).build()
    };
    assert!(limited("archive", Duration::from_secs(1)).is_ok());
    for (name, limit) in
        [("archive", Duration::ZERO), ("archve", Duration::from_secs(1)), ("audit", Duration::MAX)]
    {
        let error = limited(name, limit).expect_err("refused").to_string();
        assert!(error.contains(&format!("{name:?}")) && error.contains("timeout"), "{error}");
    }
}

#[test]
fn a_worker_without_a_handler_is_refused() {
    let error = Worker::builder(MemoryStore::new(), Handlers::new()).build().expect_err("no handler");
    assert!(error.to_string().contains("Handlers::plain"), "{error}");
}

#[test]
fn handlers_need_plain_unique_names() {
    let named = |names: &[&'static str]| {
        let handlers =
            names.iter().fold(Handlers::new(), |handlers, name| handlers.plain(*name, Recorder::new()));
        Worker::builder(MemoryStore::new(), handlers).build()
    };
    assert!(named(&["attendance", "audit"]).is_ok());
    for names in [&["twice", "twice"][..], &[""], &[" "], &["two\nlines"]] {
        let error = named(names).expect_err("refused").to_string();
        assert!(error.contains(&format!("{:?}", names[0])), "{error}");
    }
}
