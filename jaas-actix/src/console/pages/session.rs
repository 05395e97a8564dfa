//! The events of one session, and erasing what they hold.

use askama::Template;
use jaas_core::SessionId;
use jaas_core::store::{EventQuery, PageRequest};

use super::rows::{EventRow, Pager};
use crate::console::access::Right;
use crate::console::failure::Failure;
use crate::console::params::href;
use crate::console::show::cut;
use crate::console::visit::{Frame, PAGE, Shown, Visit};

#[derive(Template)]
#[template(path = "console/session.html")]
struct Page {
    frame: Frame,
    id: String,
    rows: Vec<EventRow>,
    pager: Pager,
    meeting: Option<String>,
    confirm_erase: Option<String>,
    /// How many events have just been erased.
    erased: Option<String>,
}

#[derive(Template)]
#[template(path = "console/erase.html")]
struct Erase {
    frame: Frame,
    id: String,
    shown: String,
    how_many: String,
    back: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let id = visit.query.text("id");
    let mut page = jaas_core::store::Page { items: Vec::new(), next: None };
    if !id.is_empty() {
        let mut query = EventQuery { session_id: Some(SessionId::new(&*id)), ..EventQuery::default() };
        query.page = PageRequest { after: visit.query.row("after")?, limit: PAGE, newest_first: true };
        page = visit.desk.store.events(&query).await?;
    }
    let may_erase = visit.can(Right::Erase) && !page.items.is_empty();
    let title = if id.is_empty() { "Sessions".to_owned() } else { format!("Session {}", cut(&id, 60)) };
    Shown::page(&Page {
        frame: visit.frame(title),
        rows: EventRow::all(&visit, &page.items),
        pager: Pager::new(&visit, &page),
        meeting: (visit.desk.meetings.is_some() && !id.is_empty()).then(|| href("meeting", [("id", &*id)])),
        confirm_erase: may_erase.then(|| href("confirm-erase", [("id", &*id)])),
        erased: visit.query.get("erased").map(|number| cut(number, 20)),
        id,
    })
}

pub(crate) async fn confirm(visit: Visit) -> Result<Shown, Failure> {
    let session = session(visit.query.get("id"))?;
    let mut query = EventQuery { session_id: Some(session.clone()), ..EventQuery::default() };
    query.page.limit = PAGE;
    let page = visit.desk.store.events(&query).await?;
    if page.items.is_empty() {
        return Err(Failure::NotFound("The store has no events of this session.".to_owned()));
    }
    let exact = page.next.is_none();
    let how_many =
        if exact { page.items.len().to_string() } else { format!("more than {}", page.items.len()) };
    Shown::page(&Erase {
        frame: visit.frame("Erase a session?"),
        back: href("session", [("id", session.as_str())]),
        shown: cut(session.as_str(), 300),
        id: session.into_string(),
        how_many,
    })
}

pub(crate) async fn erase(visit: Visit) -> Result<Shown, Failure> {
    let note = visit.note()?;
    let session = session(visit.form.get("id"))?;
    let erased = visit.desk.store.erase_session(&session, &note, visit.now).await?;
    Ok(Shown::See(href("session", [("id", session.as_str()), ("erased", &*erased.to_string())])))
}

fn session(id: Option<&str>) -> Result<SessionId, Failure> {
    id.map(SessionId::new).ok_or_else(|| Failure::request("the session is missing"))
}
