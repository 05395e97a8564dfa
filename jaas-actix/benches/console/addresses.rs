//! The addresses of the console's pages, for each route of its table.

use jaas_core::Timestamp;

use crate::fill::{Filled, LARGE_SESSION};

/// The console's table, of which every route must be asked for.
const TABLE: &str = include_str!("../../src/console/routes.rs");

/// How often an act is tried at most: each changes rows or writes to the audit.
const RARELY: usize = 50;

/// A page, or an act.
pub(crate) struct Address {
    pub(crate) name: String,
    /// What is sent each time: a path below the console, and the form of an act.
    pub(crate) requests: Vec<(String, Option<String>)>,
}

impl Address {
    pub(crate) fn is_page(&self) -> bool {
        self.requests.iter().all(|(_, form)| form.is_none())
    }
}

/// Every page and act, with so many requests for each page.
pub(crate) fn all(filled: &Filled, often: usize) -> Vec<Address> {
    let mut addresses = Vec::new();
    for line in TABLE.lines() {
        let mut words = line.split_whitespace();
        let (Some(page), Some(does)) = (words.next(), words.next()) else { continue };
        let Some(page) = page.strip_prefix('"').and_then(|page| page.strip_suffix('"')) else { continue };
        match does {
            "Show" => addresses.extend(shown(filled, page, often)),
            "Act" => addresses.push(act(filled, page, often.min(RARELY))),
            _ => {}
        }
    }
    assert!(addresses.len() > 30, "the table of routes was not understood");
    // Acts last: a page must find what an act erases.
    addresses.sort_by_key(|address: &Address| !address.is_page());
    addresses
}

/// A page with each of its filters.
fn shown(filled: &Filled, page: &'static str, often: usize) -> Vec<Address> {
    let one = |name: &str, query: &dyn Fn(i64) -> String| Address {
        name: if name.is_empty() { page.to_owned() } else { format!("{page}, {name}") },
        requests: (0..often as i64).map(|number| (format!("{page}{}", query(number)), None)).collect(),
    };
    let same = |name: &str, query: &str| one(name, &|_| query.to_owned());
    let (middle, group) = (filled.events / 2, group());
    let time = |event: i64| {
        let at = filled.now - (filled.events - event) * filled.step();
        jiff::Timestamp::from_millisecond(Timestamp::from_millis(at).as_millis()).unwrap().to_string()
    };
    let room = |number: i64| format!("vpaas-magic-cookie-1%2Froom{}", number * 20);
    let session = |number: i64| filled.session(filled.done(number * 37));
    match page {
        "inbox" => vec![
            same("", ""),
            same("in the middle", &format!("?after={middle}")),
            same("that wait", "?state=waiting"),
            same("that are done", "?state=done"),
            same("dead letters", "?state=dead"),
            one("by room", &|number| format!("?room={}", room(number))),
            one("by session", &|number| format!("?session={}", session(number))),
            one("by key", &|number| format!("?key=key-{}", filled.done(number))),
            same("by type", "?type=ROOM_CREATED"),
            same("by a type that none has", "?type=CHAT"),
            same("by a day", &format!("?from={}&until={}", time(middle), time(middle + filled.events / 30))),
            same("done, by a type that none has", "?state=done&type=CHAT"),
        ],
        "event" => vec![
            one("of one that is done", &|number| format!("?id={}", filled.done(number))),
            one("of a dead letter", &|number| format!("?id={}", filled.dead(number))),
            one("of one that waits", &|number| format!("?id={}", filled.events - number % 20)),
        ],
        "dead-group" => vec![same("", &format!("?group={group}"))],
        "confirm-replay" | "confirm-discard" => vec![
            one("of an event", &|number| format!("?id={}", filled.dead(number))),
            same("of a group", &format!("?group={group}")),
        ],
        "session" => vec![same("", ""), one("of one", &|number| format!("?id={}", session(number)))],
        "confirm-erase" => vec![one("", &|number| format!("?id={}", session(number)))],
        "meetings" => vec![same("", ""), one("by room", &|number| format!("?room={}", room(number)))],
        "meeting" => vec![
            one("", &|number| format!("?id={}", session(number))),
            same("of 300 people", &format!("?id={LARGE_SESSION}")),
        ],
        "gaps" => vec![
            same("", ""),
            same("that are open", "?state=open"),
            same("of a rule", "?state=open&rule=recording_not_uploaded"),
            one("by room", &|number| format!("?room={}", room(number * 5))),
        ],
        "settings" => vec![
            same("", ""),
            one("by room", &|number| format!("?room={}", room(number))),
            same("by a day", &format!("?from={}&until={}", time(middle), time(middle + filled.events / 30))),
            same("by a source that none has", "?source=fallback"),
        ],
        "artifacts" => vec![same("", ""), same("that are stored", "?state=stored")],
        "overview" | "dead" | "quarantine" | "conflicts" | "audit" => vec![same("", "")],
        page => panic!("benches/console/addresses.rs has no address of the page {page}"),
    }
}

/// An act on one thing at a time, so that no request spends what another needs.
fn act(filled: &Filled, page: &'static str, often: usize) -> Address {
    let reason = "reason=to+see+what+it+costs";
    // How many different events `done` and `dead` know.
    let known = filled.events / 200;
    let form = |number: i64| match page {
        "reveal" => format!("id={}&{reason}", filled.done(number)),
        "rehearse" => format!("id={}&{reason}", filled.dead(number)),
        "replay" => format!("id={}&{reason}", filled.dead(known - 1 - number)),
        "discard" => format!("id={}&{reason}", filled.dead(known / 2 + number)),
        "replay-quarantine" => reason.to_owned(),
        "erase" => format!("id={}&{reason}", filled.session(filled.done(known - 1 - number))),
        "reveal-meeting" => format!("id={}&{reason}", filled.session(filled.done(number))),
        page => panic!("benches/console/addresses.rs has no form of the act {page}"),
    };
    let requests = (0..often as i64).map(|number| (page.to_owned(), Some(form(number))));
    Address { name: page.to_owned(), requests: requests.collect() }
}

/// The id of the first group of dead letters, as the console derives it.
fn group() -> String {
    use sha2::{Digest as _, Sha256};
    let (kind, error) = ("PARTICIPANT_JOINED", "no row for room 0");
    let mut hash = Sha256::new();
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind);
    hash.update([1]);
    hash.update(error);
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}
