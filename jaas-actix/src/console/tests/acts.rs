//! What operators do.

use std::sync::Arc;

use actix_web::http::StatusCode;
use jaas_core::store::{AuditAction, EventState, EventStore as _, MemoryStore, RowId};
use jaas_core::{Context, EventHandler, HandlerResult, Handlers};
use jaas_testkit::event;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::support::{app, audit, bury, console, count, earlier, events, get, one_dead, post, send};
use crate::console::pages::group_of;

struct Fails;

#[async_trait::async_trait]
impl EventHandler for Fails {
    async fn any_event(&self, _: &mut Context<'_, ()>, _: &jaas_core::event::Event) -> HandlerResult {
        Err("no such <table>".into())
    }
}

struct Ignores;
impl EventHandler for Ignores {}

pub(super) fn handlers() -> Handlers {
    Handlers::new().transactional("rows", Fails).transactional("other", Ignores).plain("mail", Ignores)
}

#[actix_web::test]
async fn an_event_is_replayed_with_a_name_and_a_reason() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let asked = send(&app, get("confirm-replay?id=1")).await;
    assert!(asked.body.contains("<strong>1 event</strong>: event 1"), "{}", asked.body);
    let without = send(&app, post("replay", "id=1&reason=+")).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    assert_eq!(count(&store, EventState::Dead).await, 1);

    let replayed = send(&app, post("replay", "id=1&reason=the+table+is+there")).await;
    assert_eq!((replayed.status, replayed.header("location")), (StatusCode::SEE_OTHER, "event?id=1"));
    assert_eq!(count(&store, EventState::Waiting).await, 1);
    let entry = audit(&store).await.remove(0);
    assert_eq!((&*entry.note.by, &*entry.note.reason), ("ada <op>", "the table is there"));
    assert_eq!(entry.action, AuditAction::Replayed);

    let again = send(&app, post("replay", "id=1&reason=again")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.body.contains("event 1 is waiting"), "{}", again.body);
    let shown = send(&app, get("audit")).await.body;
    assert!(shown.contains("ada &#60;op&#62;") && shown.contains("the table is there"), "{shown}");
}

#[actix_web::test]
async fn a_selection_is_discarded_and_each_event_that_is_not_says_why() {
    let store = one_dead().await;
    let two = bury(&store, event::participant_left().delivery(), "the table is missing").await;
    let three = bury(&store, event::participant_left().delivery(), "the table is missing").await;
    let app = app(console(store.clone())).await;
    let asked = send(&app, get(&format!("confirm-discard?id={two}&id={three}&id={two}&from=abc"))).await.body;
    assert!(asked.contains("2 events") && asked.contains(&format!("events {two}, {three}")), "{asked}");
    let done = send(&app, post("discard", &format!("id={two}&id={three}&from=abc&reason=test"))).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "dead-group?group=abc"));
    assert_eq!(count(&store, EventState::Discarded).await, 2);

    let mixed = send(&app, post("discard", &format!("id=1&id={two}&reason=test"))).await;
    assert_eq!(mixed.status, StatusCode::OK);
    assert!(mixed.body.contains("<strong>1 discarded</strong>"), "{}", mixed.body);
    assert!(mixed.body.contains(&format!("event {two} is discarded")), "{}", mixed.body);
    let none = send(&app, post("discard", "reason=test")).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_group_is_replayed_in_batches_with_its_progress() {
    let store = Arc::new(MemoryStore::new());
    for _ in 0..2_300 {
        bury(&store, event::participant_joined().delivery(), "down").await;
    }
    let app = app(console(store.clone())).await;
    let group = group_of(&store).await;
    let asked = send(&app, get(&format!("confirm-replay?group={group}"))).await.body;
    assert!(asked.contains("1\u{202f}000 or more dead letters"), "{asked}");
    // From now on the group is older than those that the store groups.
    for _ in 0..1_000 {
        bury(&store, event::participant_joined().delivery(), "another error").await;
    }

    let mut form = format!("{}&reason=up+again", hidden(&asked));
    let mut seen = Vec::new();
    loop {
        let page = send(&app, post("replay", &form)).await;
        assert_eq!(page.status, StatusCode::OK);
        let (status, _) = page.body.split_once("role=\"status\">").unwrap().1.split_once("</p>").unwrap();
        seen.push(status.replace("<strong>", "").replace("</strong>", "").replace('\u{202f}', ""));
        let fields = hidden(&page.body);
        if fields.is_empty() {
            break;
        }
        form = fields;
    }
    assert_eq!(seen, ["1000 replayed, some left.", "2000 replayed, some left.", "2300 replayed."]);
    let counted = (count(&store, EventState::Waiting).await, count(&store, EventState::Dead).await);
    assert_eq!(counted, (2_300, 1_000));
    let gone = send(&app, post("replay", &format!("group={group}&reason=again"))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

/// The hidden fields of a page as its form sends them.
fn hidden(page: &str) -> String {
    let value = |field: &str, name: &str| {
        let value = field.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
        utf8_percent_encode(&value.replace("&#34;", "\""), NON_ALPHANUMERIC).to_string()
    };
    let fields = page.split("<input type=\"hidden\"").skip(1);
    fields
        .map(|field| format!("{}={}", value(field, "name"), value(field, "value")))
        .collect::<Vec<_>>()
        .join("&")
}

#[actix_web::test]
async fn a_rehearsal_shows_what_each_handler_would_do_and_changes_nothing() {
    let store = one_dead().await;
    let before = events(&store).await;
    let app = app(console(store.clone()).handlers(handlers())).await;
    let group = group_of(&store).await;
    for form in ["id=1".to_owned(), format!("group={group}")] {
        let page = send(&app, post("rehearse", &form)).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("would fail: no such &#60;table&#62;"), "{}", page.body);
        assert!(page.body.contains("would ignore it") && page.body.contains("plain handler"));
    }
    assert_eq!(events(&store).await, before);
    let entries = audit(&store).await;
    assert_eq!(entries.len(), 2, "each rehearsal has its entry");
    for entry in entries {
        assert_eq!(
            (entry.action, entry.event, &*entry.note.by),
            (AuditAction::Rehearsed, RowId::new(1), "ada <op>")
        );
        let reason = &*entry.note.reason;
        assert!(reason.contains(": would fail") && reason.contains(": not run"), "{reason}");
        assert!(!reason.contains("table"), "the audit keeps no text of a handler: {reason}");
    }
    let missing = send(&app, post("rehearse", "id=99")).await;
    assert!(missing.body.contains("there is no event 99"));
}

#[actix_web::test]
async fn a_body_is_shown_only_after_the_audit_has_who_and_why() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    assert!(!send(&app, get("event?id=1")).await.body.contains("Zora"));
    let without = send(&app, post("reveal", "id=1")).await;
    assert!(without.status == StatusCode::BAD_REQUEST && !without.body.contains("Zora"));
    assert!(audit(&store).await.is_empty());
    let page = send(&app, post("reveal", "id=1&reason=complaint+7")).await;
    assert!(page.body.contains("Zora Secret"), "{}", page.body);
    let entry = audit(&store).await.remove(0);
    assert_eq!((entry.action, &*entry.note.reason), (AuditAction::Revealed, "complaint 7"));
}

#[actix_web::test]
async fn a_session_is_erased_after_its_size_was_shown() {
    let store = one_dead().await;
    let session = events(&store).await[0].session_id.clone().unwrap();
    let app = app(console(store.clone())).await;
    let page = send(&app, get(&format!("session?id={session}"))).await.body;
    assert!(page.contains(&format!("confirm-erase?id={session}")), "{page}");
    assert!(
        send(&app, get(&format!("confirm-erase?id={session}")))
            .await
            .body
            .contains("<strong>1 event</strong>")
    );
    let done = send(&app, post("erase", &format!("id={session}&reason=art.+17"))).await;
    assert_eq!(done.header("location"), format!("session?id={session}&erased=1"));
    assert!(events(&store).await[0].body.is_empty());
    assert_eq!(audit(&store).await[0].action, AuditAction::Erased);
    assert!(send(&app, get("event?id=1")).await.body.contains("erased"));
    let replay = send(&app, post("replay", "id=1&reason=x")).await;
    assert_eq!(replay.status, StatusCode::CONFLICT);
}

#[actix_web::test]
async fn the_quarantine_is_parsed_again() {
    use jaas_core::{Delivery, Unreadable};
    let store = Arc::new(MemoryStore::new());
    let reason = Delivery::parse("main", earlier(5), "{}".into()).unwrap_err().reason;
    let body = event::room_created().body();
    store.quarantine(Unreadable::new("main", earlier(5), reason.clone(), body)).await.unwrap();
    store.quarantine(Unreadable::new("main", earlier(5), reason, "<script>x</script>")).await.unwrap();
    let app = app(console(store.clone())).await;
    let page = send(&app, get("quarantine")).await.body;
    assert!(page.contains("action=\"replay-quarantine\"") && !page.contains("<script>x"));
    let done = send(&app, post("replay-quarantine", "reason=new+version")).await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(done.body.contains("<dt>1</dt><dd>accepted as new events</dd>"), "{}", done.body);
    assert!(done.body.contains("<dt>1</dt><dd>still cannot be parsed, and stay</dd>"));
    assert_eq!(events(&store).await.len(), 1);
}

#[actix_web::test]
async fn a_form_that_is_too_large_is_refused() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let form = format!("id=1&reason={}", "x".repeat(70_000));
    assert_eq!(send(&app, post("replay", &form)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let form = format!("id=1&reason={}", "x".repeat(501));
    assert_eq!(send(&app, post("replay", &form)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(count(&store, EventState::Dead).await, 1);
}
