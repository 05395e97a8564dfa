//! The pages of meetings, over a reader made of deliveries.

use std::sync::Arc;

use actix_web::http::StatusCode;
use async_trait::async_trait;
use jaas_core::meetings::{
    Attendance, Edge, Mark, MeetingReader, MeetingView, Note, Sitting, TimeCursor, TimePage, TimePageRequest,
    stays,
};
use jaas_core::store::{AuditAction, EventStore as _, MemoryStore, StoreError};
use jaas_core::{Delivery, Fqn, SessionId};
use jaas_testkit::event;
use jaas_testkit::fixture::EVENTS;

use super::support::{NOW, app, audit, console, earlier, get, post, send};

const EVIL: &str = "<script>Zora</script>";

/// One meeting.
struct Meetings(Vec<Delivery>);

#[async_trait]
impl MeetingReader for Meetings {
    async fn sittings(
        &self,
        _: Option<&Fqn>,
        page: &TimePageRequest,
    ) -> Result<TimePage<Sitting>, StoreError> {
        let sitting = self.view().sitting;
        let items = if page.after.is_some() { Vec::new() } else { vec![sitting.clone(), sitting] };
        Ok(TimePage::from_items(items, 1, |sitting| TimeCursor::new(earlier(9), sitting.session.as_str())))
    }

    async fn meeting(&self, session: &SessionId) -> Result<Option<MeetingView>, StoreError> {
        Ok(Some(self.view()).filter(|view| view.sitting.session == *session))
    }
}

impl Meetings {
    fn view(&self) -> MeetingView {
        let edges: Vec<Edge> = self.0.iter().filter_map(Edge::of).collect();
        let (sitting, stays) = (Sitting::of(&edges).unwrap(), stays(&edges));
        let attendance = Attendance::of(&sitting, &stays, NOW);
        let notes: Vec<Note> = self.0.iter().filter_map(Note::of).collect();
        let marks = self.0.iter().filter_map(Mark::of).collect();
        MeetingView::new(sitting, stays, attendance, marks).with_notes(&notes)
    }
}

#[actix_web::test]
async fn the_people_of_a_meeting_are_numbers_until_their_names_are_revealed() {
    let deliveries = vec![
        event::participant_joined()
            .named(EVIL)
            .user("zora@example.org")
            .in_session("s")
            .at(earlier(600))
            .delivery(),
        event::recording_started().in_session("s").at(earlier(500)).delivery(),
    ];
    let store = Arc::new(MemoryStore::new());
    let app = app(console(store.clone()).meetings(Meetings(deliveries.clone()))).await;

    let list = send(&app, get("meetings")).await.body;
    assert!(list.contains("href=\"meeting?id=s\"") && list.contains("rel=\"next\""), "{list}");
    let page = send(&app, get("meeting?id=s")).await.body;
    assert!(
        page.contains("Person 1") && page.contains("<svg") && page.contains("<title>Recording "),
        "{page}"
    );
    assert!(!page.contains("Zora") && !page.contains("zora@"), "{page}");
    assert!(!page.contains("style=") && !page.contains(", waiting</title>"), "{page}");

    let refused = send(&app, post("reveal-meeting", "id=s&reason=why")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "there is no event to audit");
    assert!(!refused.body.contains("Zora"));
    store.accept(deliveries[0].clone()).await.unwrap();
    let revealed = send(&app, post("reveal-meeting", "id=s&reason=why")).await.body;
    assert!(revealed.contains("&#60;script&#62;Zora") && !revealed.contains(EVIL), "{revealed}");
    let entry = audit(&store).await.remove(0);
    assert_eq!((entry.action, &*entry.note.reason), (AuditAction::Revealed, "names of the meeting: why"));

    assert_eq!(send(&app, get("meeting?id=other")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(&app, get("meetings?after=x")).await.status, StatusCode::BAD_REQUEST);
    let page = send(&app, get("meeting?id=s")).await.body;
    assert!(page.contains(" PARTICIPANT_JOINED, waiting</title>"), "the events of the session: {page}");
    let session = send(&app, get("session?id=s")).await.body;
    assert!(session.contains("href=\"meeting?id=s\""), "{session}");
}

#[actix_web::test]
async fn what_was_said_in_a_meeting_is_counted_and_its_texts_are_hidden_until_they_are_revealed() {
    let names =
        ["PARTICIPANT_JOINED", "SPEAKER_STATS", "REACTIONS", "POLL_CREATED", "POLL_ANSWER", "FEEDBACK"];
    let delivery = |name: &str| {
        let fixture = EVENTS.iter().find(|fixture| fixture.name == name).unwrap();
        let body = fixture.body.replace("Every day", EVIL);
        let mut value: serde_json::Value = serde_json::from_str(&body).unwrap();
        value["sessionId"] = "s".into();
        Delivery::parse("main", NOW, value.to_string().into()).unwrap()
    };
    let deliveries: Vec<Delivery> = names.into_iter().map(delivery).collect();
    let store = Arc::new(MemoryStore::new());
    for delivery in &deliveries {
        store.accept(delivery.clone()).await.unwrap();
    }
    let app = app(console(store).meetings(Meetings(deliveries))).await;

    let page = send(&app, get("meeting?id=s")).await.body;
    for shown in
        ["20 min", "like", "clap", "Option 2", "5.0 of 5 stars in 1 ratings", "POLL_CREATED", "(hidden)"]
    {
        assert!(page.contains(shown), "{shown} is missing: {page}");
    }
    for hidden in ["How often", "Twice a week", "Clear sound", "Ada Example", "Zora"] {
        assert!(!page.contains(hidden), "{hidden} is shown: {page}");
    }
    let revealed = send(&app, post("reveal-meeting", "id=s&reason=why")).await.body;
    for shown in ["How often", "Twice a week", "Clear sound", "&#60;script&#62;Zora"] {
        assert!(revealed.contains(shown), "{shown} is missing: {revealed}");
    }
    assert!(!revealed.contains(EVIL));
}
