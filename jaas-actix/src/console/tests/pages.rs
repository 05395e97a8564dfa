//! What pages show, and what they must not.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use jaas_core::settings::{SettingsLog as _, SettingsRecord, SettingsSource};
use jaas_core::store::{AuditNote, EventAdmin as _, EventStore as _, MemoryStore, RowId};
use jaas_core::{Delivery, Fqn};
use jaas_testkit::{Faults, FaultyStore, event};

use super::support::{app, bury, console, earlier, get, one_dead, post, send, valid};
use crate::console::assets::{SCRIPT, STYLE};
use crate::console::pages::group_of;
use crate::console::routes::{Does, ROUTES};

/// The pages of a store, with what they need to show something.
async fn all_pages(store: &MemoryStore) -> Vec<String> {
    let group = group_of(store).await;
    let mut pages: Vec<String> = ROUTES
        .iter()
        .filter(|route| route.does == Does::Show)
        .map(|route| format!("{}?id=1", route.page))
        .collect();
    pages.push(format!("dead-group?group={group}"));
    pages.push(format!("confirm-replay?group={group}"));
    pages
}

#[actix_web::test]
async fn text_of_strangers_is_text_in_every_page() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=y>\u{202e}";
    let store = Arc::new(MemoryStore::new());
    let evil = event::unknown(EVIL)
        .key(EVIL)
        .in_room(EVIL)
        .in_session(EVIL)
        .set("data.name", EVIL)
        .to_endpoint(EVIL);
    let evil = evil.at(earlier(9));
    bury(&store, evil.delivery(), EVIL).await;
    // A conflict of it.
    store.accept(evil.set("data.name", "other").delivery()).await.unwrap();
    let mut decision = SettingsRecord::new(EVIL, Fqn::new(EVIL), earlier(9), SettingsSource::Fallback, EVIL);
    (decision.error, decision.decided_by) = (Some(EVIL.to_owned()), Some(EVIL.to_owned()));
    store.record_settings(&[decision]).await.unwrap();
    store.quarantine(Delivery::parse(EVIL, earlier(9), EVIL.into()).unwrap_err()).await.unwrap();
    store.reveal(RowId::new(1), &AuditNote::new(EVIL, EVIL), earlier(9)).await.unwrap();
    let app = app(console(store.clone()).settings(store.clone())).await;
    let mut pages = all_pages(&store).await;
    let session = crate::console::params::href("session", [("id", EVIL)]);
    let erase = crate::console::params::href("confirm-erase", [("id", EVIL)]);
    let search = crate::console::params::href(
        "inbox",
        [("room", EVIL), ("type", EVIL), ("key", EVIL), ("from", "2026-01-01T00:00")],
    );
    pages.extend([session, erase, search]);
    let mut found = 0;
    for page in pages {
        let response = send(&app, get(&page)).await;
        found += usize::from(response.body.contains("&#60;script&#62;alert(1)"));
        assert_harmless(&page, &response.body);
    }
    assert!(found >= 11, "{found} pages show it");
    let revealed =
        send(&app, post("reveal", &crate::console::params::href("", [("id", "1"), ("reason", EVIL)])[1..]))
            .await;
    assert!(revealed.body.contains("&#60;script&#62;alert(1)"));
    assert_harmless("reveal", &revealed.body);
    assert_harmless("audit", &send(&app, get("audit")).await.body);
}

fn assert_harmless(page: &str, html: &str) {
    let scripts = html.matches("<script").count();
    let own = html.matches(&format!("<script src=\"{}\" defer></script>", SCRIPT.name)).count();
    assert_eq!((scripts, own), (1, 1), "{page}: {html}");
    assert!(!html.contains("<img"), "{page}");
    // A field of a form has the text as it is, or searching for it again would search for something else.
    let shown: String =
        html.split("value=\"").map(|part| part.split_once('"').map_or(part, |(_, after)| after)).collect();
    assert!(!shown.contains('\u{202e}'), "{page}");
}

#[actix_web::test]
async fn pages_have_no_inline_code_and_only_relative_links() {
    let store = one_dead().await;
    let app = app(console(store.clone()).settings(store.clone()).handlers(super::acts::handlers())).await;
    for page in all_pages(&store).await {
        let response = send(&app, get(&page)).await;
        let html = &response.body;
        assert!(!html.contains("style=") && !html.contains("<style"), "{page}: {html}");
        for handler in ["onclick=", "onload=", "onerror=", "onsubmit=", "onchange=", "javascript:"] {
            assert!(!html.contains(handler), "{page} has {handler}");
        }
        for attribute in ["href=\"", "action=\"", "src=\"", "formaction=\""] {
            for link in html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let path = link.split(['?', '#']).next().unwrap();
                assert!(!path.contains(['/', ':']), "{page} links to {link}");
                let known = ROUTES.iter().any(|route| route.page == path)
                    || [&*STYLE.name, &*SCRIPT.name, ""].contains(&path);
                assert!(known, "{page} links to {link}");
            }
        }
    }
}

#[actix_web::test]
async fn every_page_and_failure_has_the_headers_that_keep_it_safe() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    let mut requests: Vec<TestRequest> = all_pages(&store).await.iter().map(|page| get(page)).collect();
    requests.extend([
        get("nothing"),
        get("event?id=x"),
        get("overview").method(actix_web::http::Method::PUT),
    ]);
    for request in requests {
        let response = send(&app, request).await;
        let policy = response.header("content-security-policy");
        for needed in
            ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(needed), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(response.header("cache-control"), "no-store");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("x-frame-options"), "DENY");
        // With no-referrer, browsers send `Origin: null` with the forms.
        assert_eq!(response.header("referrer-policy"), "same-origin");
        assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
    }
}

#[actix_web::test]
async fn assets_are_kept_by_browsers_under_the_hash_of_their_content() {
    let app = app(console(one_dead().await)).await;
    for (asset, media) in [(&*STYLE, "text/css; charset=utf-8"), (&*SCRIPT, "text/javascript; charset=utf-8")]
    {
        let response = send(&app, get(&asset.name)).await;
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.header("content-type"), media);
        assert_eq!(response.header("cache-control"), "private, max-age=31536000, immutable");
        assert_eq!(response.body, asset.content);
    }
}

#[actix_web::test]
async fn the_path_of_the_console_leads_to_the_overview_with_any_prefix() {
    let app = app(console(one_dead().await)).await;
    let at = |uri| TestRequest::get().uri(uri).insert_header(("x-rights", "look"));
    let bare = send(&app, at("/ops")).await;
    assert_eq!((bare.status, bare.header("location")), (StatusCode::FOUND, "./ops/overview"));
    assert_eq!(send(&app, at("/ops/")).await.header("location"), "overview");
    assert_eq!(send(&app, at("/ops/overview")).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_full_page_stays_small_and_the_next_one_follows_it() {
    let store = Arc::new(MemoryStore::new());
    let mut stored = Vec::new();
    for number in 0..120 {
        let event = event::participant_joined().in_room(&format!("a-room-with-a-rather-long-name-{number}"));
        let error = "connection to server at db.internal (10.0.0.7), port 5432 failed: Connection refused";
        stored.push(bury(&store, event.delivery(), error).await.get());
    }
    let app = app(console(store.clone())).await;
    let mut link = Some("inbox?state=dead&type=PARTICIPANT_JOINED".to_owned());
    let mut ids = Vec::new();
    while let Some(page) = link {
        let html = send(&app, get(&page)).await.body;
        assert!(html.len() <= 50_000, "{} bytes", html.len());
        ids.extend(
            html.split("<td><a href=\"event?id=")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse::<i64>().unwrap()),
        );
        link = html
            .split_once("\" rel=\"next\"")
            .map(|(before, _)| before.rsplit("href=\"").next().unwrap().replace("&#38;", "&"));
        if let Some(next) = &link {
            assert!(next.contains("state=dead") && next.contains("type=PARTICIPANT_JOINED"), "{next}");
        }
    }
    stored.reverse();
    assert_eq!(ids, stored);
    let group = format!("dead-group?group={}", group_of(&store).await);
    let html = send(&app, get(&group)).await.body;
    assert!(html.len() <= 50_000, "{} bytes", html.len());
}

#[actix_web::test]
async fn a_filter_that_makes_no_sense_says_so() {
    let app = app(console(one_dead().await)).await;
    for page in [
        "inbox?state=dying",
        "inbox?from=yesterday",
        "inbox?after=x",
        "event",
        "event?id=x",
        "confirm-replay",
    ] {
        let response = send(&app, get(page)).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{page}");
        assert!(response.body.contains("role=\"alert\""), "{page}");
    }
    assert_eq!(send(&app, get("event?id=77")).await.status, StatusCode::NOT_FOUND);
    let missing = send(&app, get("settings")).await;
    assert!(missing.status == StatusCode::NOT_FOUND && missing.body.contains("Console::settings"));
}

#[actix_web::test]
async fn empty_pages_say_what_to_do() {
    let store = Arc::new(MemoryStore::new());
    let app = app(console(store.clone()).settings(store)).await;
    for (page, hint) in [
        ("overview", "jaas send"),
        ("inbox", "Check the endpoint"),
        ("dead", "There are no dead letters"),
        ("quarantine", "The quarantine is empty"),
        ("conflicts", "There are no conflicts"),
        ("session", "Enter its id"),
        ("settings", "No decision matches"),
        ("audit", "No operator has done anything"),
    ] {
        let response = send(&app, get(page)).await;
        assert_eq!(response.status, StatusCode::OK, "{page}: {}", response.body);
        assert!(response.body.contains(hint), "{page}");
        assert!(response.body.contains("Numbers read at <time"), "{page}");
    }
}

#[actix_web::test]
async fn a_store_that_is_away_gives_a_page_that_says_so() {
    let store = FaultyStore::new(one_dead().await).seeded(1, Faults::none().error_before(1.0));
    let app = app(console(store)).await;
    // What is not mounted, and what asks for a reason before it asks the store.
    let without_store = [
        "settings",
        "meetings",
        "meeting",
        "gaps",
        "reveal-meeting",
        "artifacts",
        "rehearse",
        "confirm-replay",
        "confirm-discard",
    ];
    for route in ROUTES {
        let request = valid(route)
            .insert_header(("x-rights", super::support::every_right()))
            .insert_header(("sec-fetch-site", "same-origin"));
        let response = send(&app, request).await;
        if without_store.contains(&route.page) {
            continue;
        }
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{}: {}", route.page, response.body);
        assert!(response.body.contains("The store is not available"), "{}", route.page);
    }
}

#[actix_web::test]
async fn a_store_that_hangs_is_not_waited_for() {
    let faults = Faults::none().stall(1.0, Duration::from_secs(3600));
    let store = FaultyStore::new(one_dead().await).seeded(1, faults);
    let app = app(console(store).timeout(Duration::from_millis(20))).await;
    let response = send(&app, get("overview")).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.body.contains("did not respond within 20ms"), "{}", response.body);
}
