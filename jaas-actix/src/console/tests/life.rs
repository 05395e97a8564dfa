//! The life of one event, the charts of all, and the files of the archive.

use std::sync::Arc;
use std::time::Duration;

use jaas_core::archive::{ArtifactKind, ArtifactStore as _, NewArtifact};
use jaas_core::store::{EventAdmin as _, EventStore as _, MemoryStore, TxWork};
use jaas_core::watch::{
    Gap, GapChange, GapStore as _, NewSightings, Rule, Seen, SessionClaimRequest, Sighting,
};
use jaas_core::{Fqn, Handled, SessionId};
use jaas_testkit::event;

use super::support::{NOW, app, bury, console, earlier, get, one_dead, post, send};

#[actix_web::test]
async fn the_values_of_a_conflict_are_hidden_until_the_body_is_revealed() {
    let store = Arc::new(MemoryStore::new());
    let joined = event::participant_joined().named("Zora Secret");
    let id = bury(&store, joined.delivery(), "down").await;
    store.accept(joined.clone().named("Yan Hidden").delivery()).await.unwrap();
    let app = app(console(store.clone())).await;
    let page = send(&app, get(&format!("event?id={id}"))).await.body;
    assert!(page.contains("data.name") && page.contains("a text became a text"), "{page}");
    assert!(!page.contains("Zora") && !page.contains("Hidden"), "{page}");
    let list = send(&app, get("conflicts")).await.body;
    assert!(list.contains(joined.delivery().envelope.idempotency_key.as_str()) && !list.contains("Hidden"));
    let page = send(&app, post("reveal", &format!("id={id}&reason=compare"))).await.body;
    assert!(page.contains("Zora Secret") && page.contains("Yan Hidden"), "{page}");
    // The page that was asked for next has the reveal in the event's history.
    let page = send(&app, get(&format!("event?id={id}"))).await.body;
    assert!(page.contains("revealed") && page.contains("compare") && !page.contains("Zora"));
}

#[actix_web::test]
async fn an_event_says_what_it_waits_for() {
    let store = Arc::new(MemoryStore::new());
    let first = event::participant_joined().in_session("s").at(earlier(20));
    let second = event::participant_left().in_session("s").at(earlier(10));
    for event in [&first.delivery(), &second.delivery()] {
        store.accept(event.clone()).await.unwrap();
    }
    let app = app(console(store)).await;
    assert!(send(&app, get("event?id=1")).await.body.contains("the next worker that has room runs it"));
    let page = send(&app, get("event?id=2")).await.body;
    assert!(page.contains("waits behind event 1") && page.contains("href=\"event?id=1\""), "{page}");
}

#[actix_web::test]
async fn the_overview_draws_the_last_hour_and_day() {
    let store = one_dead().await;
    let app = app(console(store.clone())).await;
    assert!(send(&app, get("overview")).await.body.contains("There are no samples yet"));
    store.record_activity(earlier(300)).await.unwrap();
    bury(&store, event::participant_left().delivery(), "down").await;
    store.record_activity(earlier(60)).await.unwrap();
    let page = send(&app, get("overview")).await.body;
    assert!(page.len() <= 50_000);
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 10);
    assert!(page.contains("Accepted: 1 in total, 0.0 a minute"), "{page}");
    assert!(page.contains("Dead letters: 1 in total"));
    assert!(page.contains("<path class=\"bar bad\" d=\"M"));
}

#[actix_web::test]
async fn files_are_listed_by_the_time_that_is_left() {
    let store = Arc::new(MemoryStore::new());
    let delivery = event::recording_uploaded().at(earlier(60)).delivery();
    store.accept(delivery.clone()).await.unwrap();
    let artifact = |slot: &str, hours: u64| NewArtifact {
        slot: slot.to_owned(),
        kind: ArtifactKind::Recording,
        deadline: NOW.saturating_add(Duration::from_secs(hours * 3600)),
        risk_at: NOW,
    };
    let artifacts = [artifact("late", 20), artifact("soon", 3), artifact("gone", 0)];
    store.add_artifacts(&mut (), &delivery, &artifacts).await.unwrap();
    let app = app(console(store.clone()).archive(store)).await;
    let page = send(&app, get("artifacts")).await.body;
    let at =
        |slot: &str| page.find(&format!("<td>{slot}</td>")).unwrap_or_else(|| panic!("{slot} in {page}"));
    assert!(at("gone") < at("soon") && at("soon") < at("late"));
    assert!(
        page.contains("being fetched: 3.") && page.contains("(in 3 h)") && page.contains("class=\"bad\"")
    );
    assert!(!page.contains("rel=\"next\""), "all are on one page: {page}");
    let wrong = send(&app, get("artifacts?after=here")).await;
    assert!(wrong.body.contains("after is not a place in the list"));
    let lost = send(&app, get("artifacts?state=lost")).await.body;
    assert!(lost.contains("No file is in this state"));
}

#[actix_web::test]
async fn the_next_page_of_files_goes_on_where_the_first_ends() {
    let store = Arc::new(MemoryStore::new());
    let delivery = event::recording_uploaded().at(earlier(60)).delivery();
    store.accept(delivery.clone()).await.unwrap();
    let artifact = |number: u64| NewArtifact {
        slot: format!("slot{number}"),
        kind: ArtifactKind::Recording,
        deadline: NOW.saturating_add(Duration::from_secs(3600 + number)),
        risk_at: NOW,
    };
    let artifacts: Vec<NewArtifact> = (0..60).map(artifact).collect();
    store.add_artifacts(&mut (), &delivery, &artifacts).await.unwrap();
    let app = app(console(store.clone()).archive(store)).await;
    let first = send(&app, get("artifacts")).await.body;
    let (before, _) = first.split_once("\" rel=\"next\"").unwrap();
    let (_, link) = before.rsplit_once("href=\"").unwrap();
    let next = send(&app, get(&link.replace("&#38;", "&"))).await.body;
    for number in 0..60 {
        let slot = format!("<td>slot{number}</td>");
        assert!(first.contains(&slot) != next.contains(&slot), "{slot} is on one page");
    }
}

#[actix_web::test]
async fn gaps_are_counted_listed_and_filtered() {
    let store = Arc::new(MemoryStore::new());
    let (session, fqn) = (SessionId::new("<i>s"), Fqn::new("app/<b>room"));
    let seen = NewSightings {
        session: session.clone(),
        fqn: fqn.clone(),
        sightings: vec![Sighting::new(Seen::Opened, "key", earlier(60), earlier(60))],
        now: earlier(60),
        due_at: earlier(30),
    };
    store.record_sightings(&mut (), &seen).await.unwrap();
    let app = app(console(store.clone()).gaps(store.clone())).await;
    assert!(send(&app, get("gaps")).await.body.contains("No gap matches"));

    let claim = store.claim_sessions(&SessionClaimRequest::new("w", NOW, 1)).await.unwrap().pop().unwrap();
    let gap = Gap::new(Rule::RecordingNotUploaded, session, fqn, "<u>subject", earlier(60), earlier(30));
    let work: TxWork<()> = Box::new(|_| Box::pin(async { Ok(Handled::Done) }));
    store.change_gap(&claim.lease, &GapChange::Found(gap), NOW, work).await.unwrap().unwrap();
    let silent = SessionId::new("endpoint:<main>");
    let silent = Gap::new(Rule::EndpointSilent, silent, Fqn::new(""), "", earlier(60), earlier(30));
    let work: TxWork<()> = Box::new(|_| Box::pin(async { Ok(Handled::Done) }));
    store.change_gap(&claim.lease, &GapChange::Found(silent), NOW, work).await.unwrap().unwrap();
    let page = send(&app, get("gaps?rule=endpoint_silent")).await.body;
    assert!(page.contains(r#"<a href="inbox?endpoint=%3Cmain%3E">endpoint &#60;main&#62;</a>"#), "{page}");
    let page = send(&app, get("gaps?state=open&rule=recording_not_uploaded")).await.body;
    assert!(page.contains("&#60;u&#62;subject") && page.contains("&#60;b&#62;room"), "{page}");
    assert!(page.contains("Open gaps by rule") && page.contains("<td class=\"number\">1</td>"), "{page}");
    assert!(page.contains(r#"<a href="session?id=%3Ci%3Es">"#), "{page}");
    assert!(send(&app, get("gaps?state=closed")).await.body.contains("No gap matches"));
    assert!(send(&app, get("gaps?rule=recording_not_started")).await.body.contains("No gap matches"));
}
