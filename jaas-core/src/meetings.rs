//! Who was in a meeting, from when until when, and who is in it now: pure functions of what the events say.
//!
//! | | |
//! |---|---|
//! | [`Edge`] | what one event says: a room opened or closed, a participant came to a place or left it |
//! | [`stays`], [`Stay`] | one presence in one place, from joining until leaving |
//! | [`Sitting`], [`stitch`] | when a meeting began and ended; sittings of one room with short gaps between them |
//! | [`Attendance`], [`Attendee`] | per person: intervals, minutes, first, last, late by; as CSV and JSON |
//! | [`Present`] | who is in the room now, and who waits in the lobby |
//! | [`Timeline`] | a picture of the stays of a meeting, as SVG |
//! | [`Mark`] | a moment of a meeting, such as the beginning of a recording |
//! | [`MeetingReader`], [`MeetingView`] | reading meetings wherever they are kept |
//! | [`Note`] | what one event says besides: talk time, polls, reactions, ratings, devices |
//! | [`talk_times`], [`poll_results`], [`reaction_counts`], [`ratings`] | what the notes add up to |
//! | [`DeviceKey`], [`Month`], [`MonthlyDevices`] | the devices that the bill counts |
//! | [`Phrase`], [`Transcript`] | what was said, as text, WebVTT and JSON |
//!
//! Everything is computed from a *set* of edges: their order makes no difference, and neither do copies. Counters (add one
//! for each join, subtract one for each leave) are wrong as soon as an event comes twice, late, or never.
//!
//! ```
//! use jaas_core::meetings::{Attendance, Edge, Present, Sitting, stays};
//! use jaas_core::{Delivery, Timestamp};
//!
//! # let event = |key: &str, kind: &str, at: i64, data: &str| Delivery::parse("main", Timestamp::from_secs(at), format!(
//! #     r#"{{"idempotencyKey":"{key}","eventType":"{kind}","sessionId":"s","fqn":"app/math","timestamp":{},"data":{data}}}"#,
//! #     at * 1000).into()).unwrap();
//! # let deliveries = [
//! #     event("4", "ROOM_DESTROYED", 1900, "{}"),
//! #     event("3", "PARTICIPANT_LEFT", 1860, r#"{"participantId":"p1","id":"ada"}"#),
//! #     event("2", "PARTICIPANT_JOINED", 60, r#"{"participantId":"p1","id":"ada"}"#),
//! #     event("2", "PARTICIPANT_JOINED", 60, r#"{"participantId":"p1","id":"ada"}"#),
//! # ];
//! // The deliveries of one session, in whatever order they came.
//! let edges: Vec<Edge> = deliveries.iter().filter_map(Edge::of).collect();
//! let sitting = Sitting::of(&edges).unwrap();
//! let stays = stays(&edges);
//!
//! assert!(Present::of(&sitting, &stays).people.is_empty(), "the room has closed");
//! let attendance = Attendance::of(&sitting, &stays, Timestamp::from_secs(2000));
//! assert_eq!(attendance.people[0].attended().as_secs(), 30 * 60);
//! ```
//!
//! # Rules
//! - A **presence** is one connection: the `participantId`, or else the bare address, which is all that visitors have. Two
//!   tabs of one user are two presences.
//! - A **stay** is one presence in one place, from one joining on. It ends with the first leave of the same presence and
//!   place before the presence joins that place again.
//! - If that leave never comes, the end is an **estimate**: the presence's next joining of any place, the closing of the
//!   breakout room, or the closing of the main room, whichever is first. A leave that comes late replaces the estimate.
//! - A breakout room's `ROOM_DESTROYED` is not the end of the meeting. The way from one room to the other
//!   (`switch_room`, and the joining that follows it) is attended time.
//! - A **person** is a user id of the JWT, never a name; a participant without one, and every phone, is a person by itself.
//!   Two tabs at the same time count once.
//! - A room is empty once it has closed, whatever came later, unless it opened again.

mod attendance;
mod csv;
mod device;
mod edge;
mod intervals;
mod mark;
mod note;
mod page;
mod present;
mod reader;
mod said;
mod sitting;
mod stay;
mod talk;
mod timeline;
mod transcript;

pub use self::attendance::{Attendance, Attendee};
pub use self::device::{DeviceKey, Month, MonthlyDevices};
pub use self::edge::{Change, Edge, Place, Via, Who, is_visitor};
pub use self::intervals::Interval;
pub use self::mark::Mark;
pub use self::note::{Answered, Asked, Note, Rating, Reacted, Said, Talk};
pub use self::page::{TimeCursor, TimePage, TimePageRequest};
pub use self::present::Present;
pub use self::reader::{MeetingReader, MeetingView};
pub use self::said::{PollResult, poll_results, ratings, reaction_counts};
pub use self::sitting::{Sitting, stitch};
pub use self::stay::{Stay, stays};
pub use self::talk::{TalkTime, talk_times};
pub use self::timeline::Timeline;
pub use self::transcript::{Phrase, Transcript};
