//! The spans are those of their table, and follow one event by its key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::store::MemoryStore;
use jaas_core::telemetry::{SPANS, target};
use jaas_core::{Direct, Inbox};
use jaas_testkit::event;
use tokio::time::sleep;
use tracing::Level;

use crate::archived::archived;
use crate::lines::{Lines, Opened};
use crate::world::{AsTold, TRACE_ID, deliver, handlers, receiver, worker};

/// Stores this event, and has it handled.
async fn stored_and_handled(key: &str) -> Lines {
    let lines = Lines::default();
    let _listening = lines.listen();
    let store = Arc::new(MemoryStore::new());
    let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
    assert_eq!(deliver(&receiver, event::room_created().key(key).body()).await.status(), 200);
    let worker = worker(store, AsTold::default()).build().expect("good").spawn();
    sleep(Duration::from_secs(1)).await;
    worker.stop(Duration::ZERO).await;
    lines
}

fn name(spans: &[Opened], place: Option<usize>) -> Option<&'static str> {
    place.map(|place| spans[place].metadata.name())
}

fn only<'a>(spans: &'a [Opened], name: &str) -> &'a Opened {
    let mut found = spans.iter().filter(|span| span.metadata.name() == name);
    let only = found.next().unwrap_or_else(|| panic!("{name} is opened"));
    assert!(found.next().is_none(), "{name} is opened once");
    only
}

fn field<'a>(span: &'a Opened, name: &str) -> &'a str {
    span.fields.get(name).unwrap_or_else(|| panic!("{name} is recorded in {span:?}"))
}

#[tokio::test(start_paused = true)]
async fn what_is_opened_is_the_table_with_its_levels_targets_fields_and_parents() {
    let lines = stored_and_handled("done-1").await;
    {
        let _listening = lines.listen();
        let direct = Direct::builder(handlers(AsTold::default())).build().expect("good");
        let receiver = receiver(direct).build().expect("good");
        deliver(&receiver, event::room_created().key("done-2").body()).await;
        archived().await;
    }
    let spans = lines.spans();
    let ours: Vec<_> = spans.iter().filter(|span| span.metadata.target().starts_with("jaas")).collect();
    let opened: BTreeSet<_> = ours.iter().map(|span| span.metadata.name()).collect();
    assert_eq!(opened, SPANS.iter().map(|span| span.name).collect());
    for span in ours {
        let table = SPANS.iter().find(|each| each.name == span.metadata.name()).expect("in the table");
        let fields: Vec<_> = span.metadata.fields().iter().map(|field| field.name()).collect();
        let documented: Vec<_> = table.fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(fields, documented, "{}", table.name);
        assert_eq!(
            (*span.metadata.level(), span.metadata.target()),
            (table.level, table.target),
            "{}",
            table.name
        );
        let parent = name(&spans, span.parent);
        let in_direct = table.name == "jaas.event" && field(span, "key") == "done-2";
        assert_eq!(parent, if in_direct { Some("jaas.accept") } else { table.parent }, "{}", table.name);
    }
}

#[tokio::test(start_paused = true)]
async fn every_field_has_its_value() {
    let spans = stored_and_handled("done-1").await.spans();
    for (span, values) in [
        (
            "jaas.delivery",
            &[
                ("endpoint", "main"),
                ("key", "done-1"),
                ("event_type", "ROOM_CREATED"),
                ("reply", "stored"),
                ("trace_id", TRACE_ID),
            ][..],
        ),
        ("jaas.accept", &[("outcome", "stored")]),
        (
            "jaas.event",
            &[
                ("event", "1"),
                ("endpoint", "main"),
                ("key", "done-1"),
                ("event_type", "ROOM_CREATED"),
                ("attempt", "1"),
                ("worker", "w-1"),
                ("fence", "1"),
                ("trace_id", TRACE_ID),
            ],
        ),
        ("jaas.handle", &[("handler", "scripted"), ("mode", "plain"), ("outcome", "done")]),
    ] {
        let span = only(&spans, span);
        for (name, value) in values {
            assert_eq!(field(span, name), *value, "{name} of {}", span.metadata.name());
        }
        assert_eq!(span.fields.len(), values.len());
    }
}

#[tokio::test(start_paused = true)]
async fn one_key_leads_from_the_delivery_to_the_handler_and_row_and_fence_to_the_claim() {
    let lines = stored_and_handled("done-1").await;
    let spans = lines.spans();
    let around = |name: &str| &spans[only(&spans, name).parent.expect("it is in another")];
    assert_eq!(field(around("jaas.accept"), "key"), "done-1");
    assert_eq!(field(around("jaas.handle"), "key"), "done-1");
    let claimed: Vec<_> = lines.lines().into_iter().filter(|line| line.text.contains(" claimed ")).collect();
    assert_eq!(claimed.len(), 1);
    let run = only(&spans, "jaas.event");
    for name in ["event", "fence"] {
        assert_eq!(claimed[0].fields[name], field(run, name), "{name}");
    }
    let claim = &spans[claimed[0].span.expect("inside of the claim")];
    assert_eq!(
        (claim.metadata.name(), field(claim, "claimed"), field(claim, "worker")),
        ("jaas.claim", "1", "w-1")
    );
    // The handler's own logs are inside its span.
    let at_work = lines.lines().into_iter().find(|line| line.target == "app").expect("it was at work");
    assert_eq!(name(&spans, at_work.span), Some("jaas.handle"));
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_handler_records_how_it_ended() {
    for (key, outcomes) in [
        ("ignore-1", &["ignored"][..]),
        ("permanent-1", &["permanent"]),
        ("panic-1", &["panicked", "done"]),
        ("hang-1", &["timed_out", "done"]),
        ("retry-1", &["retry", "retry", "done"]),
    ] {
        let lines = Lines::default();
        let _listening = lines.listen();
        let store = Arc::new(MemoryStore::new());
        let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
        deliver(&receiver, event::room_created().key(key).body()).await;
        let began = tokio::time::Instant::now();
        let clock = move || crate::world::NOW.saturating_add(began.elapsed());
        let worker = worker(store, AsTold::default()).clock(clock).build().expect("good").spawn();
        sleep(Duration::from_secs(60)).await;
        worker.stop(Duration::ZERO).await;
        let spans = lines.spans();
        let handled: Vec<_> = spans
            .iter()
            .filter(|span| span.metadata.name() == "jaas.handle")
            .map(|span| field(span, "outcome"))
            .collect();
        assert_eq!(handled, outcomes, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unauthentic_delivery_has_no_key_and_settings_have_their_reply() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let receiver = receiver(Inbox::new(Arc::new(MemoryStore::new()))).build().expect("good");
    receiver.receive(jaas_core::RequestHead::default(), event::room_created().key("k").body()).await;
    let spans = lines.spans();
    assert_eq!(spans.len(), 1, "nothing was accepted");
    assert_eq!(spans[0].fields.keys().collect::<Vec<_>>(), [&"endpoint", &"reply"]);
    assert_eq!(field(&spans[0], "reply"), "unauthorized");
}

#[tokio::test(start_paused = true)]
async fn every_line_has_one_of_the_targets_and_those_about_one_event_are_for_debugging() {
    let lines = stored_and_handled("done-1").await;
    let targets =
        [target::ARCHIVE, target::DELIVERY, target::WORK, target::SETTINGS, target::STORE, target::HTTP];
    let lines = lines.lines();
    assert!(lines.len() > 3, "{lines:?}");
    for line in lines.iter().filter(|line| line.target != "app") {
        assert!(targets.contains(&&*line.target), "{line:?}");
        let about_one_event = ["key", "event"].iter().any(|name| line.fields.contains_key(*name));
        assert_eq!(line.text.starts_with("DEBUG"), about_one_event, "{line:?}");
    }
    assert!(SPANS.iter().all(|span| span.level <= Level::DEBUG && targets.contains(&span.target)));
}
