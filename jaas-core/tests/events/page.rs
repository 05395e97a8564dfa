//! `docs/events.md` is generated from the table.

use std::fmt::Write as _;
use std::{env, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");

const HEAD: &str = "\
# The events

<!-- Written from `for_each_event!` in jaas-core/src/event.rs. Do not edit it; `cargo bless` writes it. -->

Every event of the table. The payload's page lists its fields with their names on the wire, and says of each what is known of
it and how. 8x8 calls [its own list](https://developer.8x8.com/jaas/docs/webhooks-payload) \"some of\" the events, and it
grows: any other `eventType` reaches `EventHandler::unknown`, with its raw data.

Which events an endpoint is sent is chosen in the JaaS console. `SETTINGS_PROVISIONING` is not among these: it is a question,
[answered](settings.md) in the response.

| event | method of `EventHandler` | payload in `jaas_core::event` | sent when |
|---|---|---|---|
";

macro_rules! rows {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        &[$(($wire, stringify!($method), stringify!($Event), $doc),)*]
    };
}
const ROWS: &[(&str, &str, &str, &str)] = jaas_core::for_each_event!(rows);

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (wire, method, payload, when) in ROWS {
        let docs = format!("https://docs.rs/jaas-core/latest/jaas_core/event/struct.{payload}.html");
        let when = when.trim();
        writeln!(page, "| `{wire}` | `{method}` | [`{payload}`]({docs}) | {when} |").expect("a string");
    }
    page
}

#[test]
fn the_page_of_events_is_the_table() {
    let page = page();
    if env::var_os("JAAS_BLESS").is_some() {
        fs::write(PAGE, &page).expect("docs/events.md can be written");
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "docs/events.md differs from the table; run `cargo bless` to write it");
}
