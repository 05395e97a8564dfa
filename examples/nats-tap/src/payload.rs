//! What is published: the event as JSON, without links.
//!
//! A link in an event is a credential: anyone who has it has the file, for a day or two. A broker keeps messages longer
//! than that, and has more readers. So links do not leave the inbox.

use jaas_core::Delivery;
use serde_json::{Map, Value, json};

/// The fields that are links, by their names on the wire.
const LINKS: [&str; 3] = ["preAuthenticatedLink", "preAuthenticatedLinkV2", "statsUrl"];

/// Returns the event with the fields of its envelope and its `data`.
///
/// It leaves out each member that is a link by its name, and each whose whole value is a web address, under any name:
/// an event of tomorrow may name its link differently. That takes avatars too. The fields have their names on the wire;
/// `appId` is the tenant that `fqn` names, because two documented events have another one in `appId`.
///
/// Data that is valid JSON but that usual parsers refuse (a number beyond 64 bits of floating point, nesting of more
/// than 128 levels; a claim of a JWT can be so) could not be searched for links. The event then has `null` in its
/// place, and the member `dataUnreadable`; the inbox has the data.
///
/// The same event has the same bytes, always.
pub(crate) fn without_links(delivery: &Delivery) -> Vec<u8> {
    let envelope = &delivery.envelope;
    let mut event = Map::new();
    let mut data: Value = delivery.data_as().unwrap_or_else(|_| {
        event.insert("dataUnreadable".to_owned(), json!(true));
        Value::Null
    });
    remove_links(&mut data);
    event.insert("idempotencyKey".to_owned(), json!(envelope.idempotency_key.as_str()));
    event.insert("eventType".to_owned(), json!(envelope.event_type));
    event.insert("data".to_owned(), data);
    let fqn = Some(envelope.fqn.as_str()).filter(|fqn| !fqn.is_empty());
    let optional = [
        ("appId", envelope.app_id.as_ref().map(|id| json!(id.as_str()))),
        ("customerId", envelope.customer_id.as_ref().map(|id| json!(id.as_str()))),
        ("sessionId", envelope.session_id.as_ref().map(|id| json!(id.as_str()))),
        ("fqn", fqn.map(|fqn| json!(fqn))),
        ("timestamp", envelope.timestamp.map(|time| json!(time.as_millis()))),
    ];
    event.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(event).to_string().into_bytes()
}

fn remove_links(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| !LINKS.contains(&name.as_str()) && !is_address(value));
            members.values_mut().for_each(remove_links);
        }
        Value::Array(items) => {
            items.retain(|item| !is_address(item));
            items.iter_mut().for_each(remove_links);
        }
        _ => {}
    }
}

fn is_address(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let text = text.trim_start();
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    begins("https://") || begins("http://")
}

#[cfg(test)]
mod tests {
    use jaas_core::archive::links;
    use jaas_core::{Delivery, Timestamp};
    use jaas_testkit::fixture;

    use super::*;

    fn delivery(body: &str) -> Delivery {
        Delivery::parse("main", Timestamp::from_secs(1), body.to_owned().into()).expect("an envelope")
    }

    fn published(body: &str) -> Value {
        serde_json::from_slice(&without_links(&delivery(body))).expect("JSON")
    }

    #[test]
    fn no_documented_event_is_published_with_a_link_of_the_archive() {
        let mut found = 0;
        for fixture in fixture::EVENTS.iter().chain(fixture::DOCUMENTED).chain(fixture::CASES) {
            let delivery = delivery(fixture.body);
            let payload = String::from_utf8(without_links(&delivery)).expect("UTF-8");
            for link in links(&delivery) {
                assert!(!payload.contains(link.link.expose()), "{}: {payload}", fixture.name);
                found += 1;
            }
            assert!(!payload.contains("https://"), "{}: {payload}", fixture.name);
        }
        assert!(found > 10, "{found} links");
    }

    #[test]
    fn links_of_events_to_come_are_left_out_at_any_depth() {
        let body = r#"{"idempotencyKey":"k","eventType":"NEW_UPLOADED","data":{"a":[{"new":" HTTPS://8x8.vc/p/token",
            "text":"see https://8x8.vc"}],"b":["http://x/1","c"],"statsUrl":7}}"#;
        let data = published(body)["data"].clone();
        assert_eq!(data, json!({"a": [{"text": "see https://8x8.vc"}], "b": ["c"]}));
    }

    #[test]
    fn data_that_cannot_be_searched_is_not_published_and_the_event_is() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for data in [r#"{"name":"Ada","claim":1e999,"statsUrl":"https://8x8.vc/p"}"#, &deep] {
            let body = format!(r#"{{"idempotencyKey":"k","eventType":"X","data":{data}}}"#);
            let expected =
                json!({"idempotencyKey": "k", "eventType": "X", "data": null, "dataUnreadable": true});
            assert_eq!(published(&body), expected, "{data}");
        }
    }

    #[test]
    fn the_tenant_is_that_of_the_room_and_absent_fields_stay_absent() {
        let body =
            r#"{"idempotencyKey":"k","eventType":"X","appId":"a","fqn":"b/room","appId":"c","timestamp":5}"#;
        let expected = json!({
            "idempotencyKey": "k", "eventType": "X", "appId": "b", "fqn": "b/room", "timestamp": 5, "data": null,
        });
        assert_eq!(published(body), expected);
    }
}
