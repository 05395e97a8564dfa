//! What must not reach a log through `{:?}`: people, and links that are credentials.

use jaas_core::{Context, Delivery, Incoming};
use jaas_testkit::fixture::{self, Fixture};
use serde_json::Value;

use crate::parsing::*;

/// Fields that are about a person or written by one.
const PERSONAL: &[&str] = &[
    "avatar",
    "avatarUrl",
    "comments",
    "currentName",
    "deviceId",
    "email",
    "fileName",
    "final",
    "name",
    "nick",
    "participantName",
    "question",
    "sipAddress",
    "subject",
];
/// Fields whose value opens a file to anyone who has it; only the host may be shown.
const LINKS: &[&str] = &["preAuthenticatedLink", "preAuthenticatedLinkV2", "statsUrl"];

fn bodies() -> impl Iterator<Item = &'static Fixture> {
    fixture::EVENTS.iter().chain(fixture::CASES)
}

#[test]
fn neither_people_nor_links_show_in_the_debug_output_of_an_event() {
    let mut searched_for = 0;
    for fixture in bodies() {
        let delivery = read(fixture.body);
        let event = delivery.event();
        let mut tx = ();
        let shown = format!(
            "{event:?} {delivery:?} {delivery:#?} {:?} {:?}",
            Context::new(&delivery, &mut tx),
            Incoming::Event(delivery.clone())
        );
        for secret in secrets(&delivery) {
            assert!(!shown.contains(&secret), "{}: {secret:?} in {shown}", fixture.name);
            searched_for += 1;
        }
    }
    assert!(searched_for > 500, "only {searched_for} secrets were found in the bodies");
}

#[test]
fn nor_in_that_of_a_truncated_body() {
    for fixture in fixture::EVENTS {
        let secrets = secrets(&read(fixture.body));
        for end in (1..fixture.body.trim_end().len()).step_by(13) {
            let body = fixture.body.as_bytes()[..end].to_vec().into();
            let unreadable = Delivery::parse("main", RECEIVED_AT, body).expect_err("truncated");
            let shown = format!("{unreadable:?} {}", unreadable.reason);
            let leaked = secrets.iter().find(|secret| shown.contains(*secret));
            assert_eq!(leaked, None, "{}: {shown}", fixture.name);
        }
    }
}

/// The strings to look for in what is shown.
fn secrets(delivery: &Delivery) -> Vec<String> {
    let mut secrets = Vec::new();
    for who in [ADA, BEN, CEM] {
        secrets.extend([who.name, who.email, who.avatar].iter().flat_map(|text| parts(text)));
    }
    // Some cases hold numbers or escapes that only raw text can.
    if let Ok(data) = delivery.data_as::<Value>() {
        collect(&data, &mut secrets);
    }
    secrets
}

fn collect(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if PERSONAL.contains(&&**name) => secrets.extend(parts(text)),
                    Value::String(link) if LINKS.contains(&&**name) => secrets.extend(token(link)),
                    Value::Array(texts) if PERSONAL.contains(&&**name) => {
                        secrets.extend(texts.iter().filter_map(Value::as_str).flat_map(parts));
                    }
                    other => collect(other, secrets),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
        _ => {}
    }
}

/// A text, and the phone number and the user part in it.
fn parts(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let path = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    let user = text.split_once('@').map(|(user, _)| format!("{user}@"));
    // A short word such as "No" is also part of others, but not in quotes.
    let mut parts = vec![if text.len() < 5 { format!("{text:?}") } else { text.to_owned() }];
    parts.extend((digits.len() > 6).then_some(digits));
    parts.extend(path.map(str::to_owned));
    parts.extend(user);
    parts
}

/// What follows the host of a link.
fn token(link: &str) -> Vec<String> {
    let path =
        link.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or(link, |(_, path)| path);
    let mut parts = vec![link.to_owned(), path.to_owned()];
    parts.extend(path.split(['/', '?', '&']).filter(|part| part.contains("FAKE")).map(str::to_owned));
    parts
}
