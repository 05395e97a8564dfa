//! Where the links of simulated events lead.

use bytes::Bytes;
use serde_json::Value;

/// The fields of `data` that are links to files.
const FIELDS: [&str; 3] = ["preAuthenticatedLink", "preAuthenticatedLinkV2", "statsUrl"];

/// The body with its links led to this server; their paths stay.
pub(super) fn led_to(server: &str, body: &Bytes) -> Bytes {
    let Ok(mut event) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) else { return body.clone() };
    let mut is_changed = false;
    for field in FIELDS {
        if let Some(Value::String(link)) = data.get_mut(field) {
            let path = link.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
            *link = format!("{}/{}", server.trim_end_matches('/'), path.map_or("", |(_, path)| path));
            is_changed = true;
        }
    }
    if is_changed { event.to_string().into() } else { body.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_server_and_nothing_else_changes() {
        let body =
            Bytes::from_static(br#"{"data":{"statsUrl":"https://8x8.vc/p/t?s=1","name":"https://x/y"}}"#);
        let led = led_to("http://127.0.0.1:9090/", &body);
        assert_eq!(led, r#"{"data":{"name":"https://x/y","statsUrl":"http://127.0.0.1:9090/p/t?s=1"}}"#);
        for body in [r#"{"data":[1]}"#, "not json", r#"{"data":{"name":"x"}}"#] {
            assert_eq!(led_to("http://127.0.0.1:9090", &Bytes::from(body)), body);
        }
    }
}
