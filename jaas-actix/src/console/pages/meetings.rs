//! Meetings: a list of sittings, and one of them with its timeline.

use askama::Template;
use jaas_core::meetings::{Attendance, MeetingReader, MeetingView, Sitting, TimePageRequest, Timeline};
use jaas_core::store::{EventQuery, PageRequest, StoredEvent};
use jaas_core::{Fqn, Personal, SessionId};

use super::rows::{EventRow, Pager};
use super::said::Said;
use crate::console::access::Right;
use crate::console::failure::Failure;
use crate::console::params::href;
use crate::console::shelf::within;
use crate::console::show::{At, Span, cut};
use crate::console::visit::{Frame, PAGE, Shown, Visit};

/// How many people and moments one page shows.
const PEOPLE: usize = 40;
const MARKS: usize = 60;
/// How many of the session's events it shows.
const EVENTS: u32 = 50;

#[derive(Template)]
#[template(path = "console/meetings.html")]
struct List {
    frame: Frame,
    room: String,
    rows: Vec<SittingRow>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "console/meeting.html")]
struct Meeting {
    frame: Frame,
    sitting: SittingRow,
    id: String,
    events_href: String,
    /// The picture. Its own code escapes the texts in it.
    timeline: String,
    people: Vec<PersonRow>,
    others: usize,
    marks: Vec<(At, String)>,
    more_marks: bool,
    said: Said,
    /// The newest events of the session.
    raised: Vec<EventRow>,
    can_reveal: bool,
    is_revealed: bool,
}

struct SittingRow {
    href: String,
    session: String,
    room: String,
    opened: Option<At>,
    ended: Option<At>,
}

struct PersonRow {
    name: String,
    via: &'static str,
    joined: At,
    left: Option<At>,
    attended: Span,
    stays: usize,
    estimated: bool,
}

impl SittingRow {
    fn new(visit: &Visit, sitting: &Sitting) -> Self {
        Self {
            href: href("meeting", [("id", sitting.session.as_str())]),
            session: cut(sitting.session.as_str(), 40),
            room: cut(sitting.fqn.as_str(), 80),
            opened: sitting.opened_at.map(|at| visit.at(at)),
            ended: sitting.ended_at.map(|at| visit.at(at)),
        }
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Shown, Failure> {
    let room = visit.query.get("room").map(Fqn::new);
    let asked = TimePageRequest { after: visit.query.time_cursor("after")?, limit: PAGE };
    let page = within(visit.desk.timeout, reader(&visit)?.sittings(room.as_ref(), &asked)).await?;
    Shown::page(&List {
        frame: visit.frame("Meetings"),
        room: visit.query.text("room"),
        rows: page.items.iter().map(|sitting| SittingRow::new(&visit, sitting)).collect(),
        pager: Pager::of(&visit, page.next.map(|next| next.to_string())),
    })
}

pub(crate) async fn show(visit: Visit) -> Result<Shown, Failure> {
    let view = find(&visit, visit.query.get("id")).await?;
    let raised = raised(&visit, &view).await?;
    page(&visit, view, &raised, false)
}

/// Shows the names, after the audit of the session's newest event has who looks and why.
pub(crate) async fn reveal(visit: Visit) -> Result<Shown, Failure> {
    let mut note = visit.note()?;
    let view = find(&visit, visit.form.get("id")).await?;
    let raised = raised(&visit, &view).await?;
    let Some(newest) = raised.first() else {
        return Err(Failure::request(
            "the names cannot be revealed, because the store has no event of this session to which the audit could \
             be written",
        ));
    };
    note.reason = format!("names of the meeting: {}", note.reason).into();
    visit.desk.store.reveal(newest.id, &note, visit.now).await?;
    page(&visit, view, &raised, true)
}

/// The newest events that the session has raised.
async fn raised(visit: &Visit, view: &MeetingView) -> Result<Vec<StoredEvent>, Failure> {
    let mut query = EventQuery { session_id: Some(view.sitting.session.clone()), ..EventQuery::default() };
    query.page = PageRequest { limit: EVENTS, ..PageRequest::newest() };
    Ok(visit.desk.store.events(&query).await?.items)
}

fn reader(visit: &Visit) -> Result<&dyn MeetingReader, Failure> {
    visit.desk.meetings.as_deref().ok_or_else(|| {
        Failure::NotFound(
            "The application has not given meetings to the console (Console::meetings).".to_owned(),
        )
    })
}

async fn find(visit: &Visit, id: Option<&str>) -> Result<MeetingView, Failure> {
    let reader = reader(visit)?;
    let id = SessionId::new(id.ok_or_else(|| Failure::request("the session is missing"))?);
    let view = within(visit.desk.timeout, reader.meeting(&id)).await?;
    view.ok_or_else(|| {
        Failure::NotFound(
            "Nothing is known of a meeting with this session. It may have been erased.".to_owned(),
        )
    })
}

fn page(
    visit: &Visit,
    mut view: MeetingView,
    raised: &[StoredEvent],
    is_revealed: bool,
) -> Result<Shown, Failure> {
    let said = Said::new(visit, &view, is_revealed);
    let others = view.attendance.people.len().saturating_sub(PEOPLE);
    prepare(&mut view.attendance, is_revealed);
    let people = view.attendance.people.iter().map(|person| PersonRow {
        name: person.shown_name().to_owned(),
        via: person.via.as_str(),
        joined: visit.at(person.first_joined),
        left: person.last_left.map(|at| visit.at(at)),
        attended: Span(person.attended()),
        stays: person.stays,
        estimated: person.estimated,
    });
    let marks = view.marks.iter().take(MARKS).map(|mark| (visit.at(mark.at), mark.kind.to_string()));
    let title = "Meeting";
    Shown::page(&Meeting {
        frame: if is_revealed { visit.frame_of_result(title) } else { visit.frame(title) },
        sitting: SittingRow::new(visit, &view.sitting),
        id: view.sitting.session.as_str().to_owned(),
        events_href: href("session", [("id", view.sitting.session.as_str())]),
        timeline: timeline(visit, &view, raised),
        people: people.collect(),
        others,
        marks: marks.collect(),
        more_marks: view.marks.len() > MARKS,
        said,
        raised: EventRow::all(visit, raised),
        can_reveal: visit.can(Right::Reveal) && !is_revealed,
        is_revealed,
    })
}

/// The picture of the stays, the recordings and other moments, and the newest events of the session.
fn timeline(visit: &Visit, view: &MeetingView, raised: &[StoredEvent]) -> String {
    let ticks = raised.iter().map(|event| {
        (event.occurred_at, format!("{}, {}", cut(&event.event_type, 60), event.state.as_str()))
    });
    let timeline = Timeline::of(&view.attendance, &view.stays, visit.now).marks(&view.marks);
    if raised.is_empty() { timeline } else { timeline.ticks("Events", ticks) }.to_string()
}

/// Leaves what the page may show: the first people, under numbers unless they are revealed.
fn prepare(attendance: &mut Attendance, is_revealed: bool) {
    attendance.people.truncate(PEOPLE);
    attendance.sitting.fqn = Fqn::new(cut(attendance.sitting.fqn.as_str(), 80));
    for (index, person) in attendance.people.iter_mut().enumerate() {
        let known = person.shown_name();
        let user = person.user_id.as_ref().map_or("", |id| id.as_str());
        let name = match (is_revealed, known) {
            (true, "") if user.is_empty() => format!("Person {}", index + 1),
            (true, "") => cut(user, 60),
            (true, known) => cut(known, 60),
            (false, _) => format!("Person {}", index + 1),
        };
        person.name = Some(Personal::new(name));
        person.address = None;
        person.email = None;
    }
}
