//! What JaaS accepts as an answer.
//!
//! Written from the published and seen facts, without the types of `jaas-core`, so that it detects when those are
//! wrong.

use jaas_core::Reply;
use serde_json::{Map, Value};

/// Why JaaS would not apply an answer. It quotes no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAnswer(String);

impl std::fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidAnswer {}

/// Asserts that JaaS would apply this reply to a settings question, and returns its keys: a 200 with valid settings, or
/// the 400 that people see.
///
/// # Panics
/// When it would not.
pub fn assert_valid_for_jaas(reply: &Reply) -> Map<String, Value> {
    let body = reply.json().map(|body| body.to_vec()).unwrap_or_default();
    match check_answer(reply.status(), &body) {
        Ok(keys) => keys,
        #[allow(clippy::panic)] // what an assertion does
        Err(error) => panic!("{reply} is not an answer to a settings question: {error}"),
    }
}

/// Checks status and body of an answer, as received over HTTP; returns its keys.
///
/// ```
/// use jaas_testkit::settings::check_answer;
///
/// assert!(check_answer(200, br#"{"lobbyEnabled":true,"passcode":"0000"}"#).is_ok());
/// let error = check_answer(200, br#"{"passcode":"12ab"}"#).unwrap_err();
/// assert_eq!(error.to_string(), "passcode is not a string of digits, so the room opens without one");
/// ```
///
/// # Errors
/// The first thing that JaaS would misread or drop.
pub fn check_answer(status: u16, body: &[u8]) -> Result<Map<String, Value>, InvalidAnswer> {
    let wrong = |why: String| Err(InvalidAnswer(why));
    let Ok(Value::Object(keys)) = serde_json::from_slice(body) else {
        return wrong("the body is not a JSON object, so the room opens".to_owned());
    };
    match status {
        200 => {}
        400 => {
            let known = keys.get("status") == Some(&Value::from(400))
                && keys.get("messageKey") == Some(&Value::from("settings.provisioning.exception"))
                && keys.get("message").is_some_and(Value::is_string);
            if known && keys.len() == 3 {
                return Ok(keys);
            }
            return wrong("the body of the 400 is not the one that people see".to_owned());
        }
        other => return wrong(format!("the status is {other}, so the room opens")),
    }
    for (key, value) in &keys {
        let (fine, why) = match &**key {
            "passcode" => (
                value.as_str().is_some_and(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                }),
                "not a string of digits, so the room opens without one",
            ),
            "maxOccupants" => (
                value.as_u64().is_some_and(|number| (2..=500).contains(&number)),
                "not a number from 2 to 500",
            ),
            "participantsSoftLimit" => {
                (value.as_u64().is_some_and(|number| number > 0), "not a positive number")
            }
            "lobbyType" => (
                matches!(value.as_str(), Some("WAIT_FOR_APPROVAL" | "WAIT_FOR_MODERATOR")),
                "neither WAIT_FOR_APPROVAL nor WAIT_FOR_MODERATOR",
            ),
            "lobbyEnabled"
            | "visitorsEnabled"
            | "visitorsLive"
            | "autoTranscriptions"
            | "asyncTranscriptions"
            | "autoAudioRecording"
            | "autoVideoRecording" => (value.is_boolean(), "neither true nor false"),
            "transcriber" | "transcriberType" | "hideDisplayName" => {
                (value.as_str().is_some_and(|word| !word.is_empty()), "not a word")
            }
            "outboundPhoneNo" => (value.is_string(), "not a string"),
            // JaaS tolerates unknown keys (seen).
            _ => (true, ""),
        };
        if !fine {
            return wrong(format!("{key} is {why}"));
        }
    }
    if let (Some(one), Some(other)) = (keys.get("transcriber"), keys.get("transcriberType"))
        && one != other
    {
        return wrong("transcriber and transcriberType are two names of one setting, and differ".to_owned());
    }
    if keys.contains_key("lobbyType") && keys.get("lobbyEnabled") != Some(&Value::Bool(true)) {
        return wrong("lobbyType is set without lobbyEnabled, so there is no lobby".to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jaas_would_misread_is_found() {
        for (status, body, why) in [
            (200, "", "the body is not a JSON object"),
            (200, "[]", "the body is not a JSON object"),
            (204, "{}", "the status is 204"),
            (503, "{}", "the status is 503"),
            (200, r#"{"passcode":""}"#, "passcode is not a string of digits"),
            (200, r#"{"passcode":1234}"#, "passcode is not a string of digits"),
            (200, r#"{"maxOccupants":501}"#, "maxOccupants is not a number from 2 to 500"),
            (200, r#"{"maxOccupants":"4"}"#, "maxOccupants is not a number from 2 to 500"),
            (200, r#"{"lobbyEnabled":"true"}"#, "lobbyEnabled is neither true nor false"),
            (200, r#"{"lobbyType":"WAIT_FOR_MODERATOR"}"#, "lobbyType is set without lobbyEnabled"),
            (200, r#"{"transcriber":"GOOGLE","transcriberType":"EGHT_WHISPER"}"#, "two names of one setting"),
            (400, "{}", "not the one that people see"),
        ] {
            let error = check_answer(status, body.as_bytes()).expect_err(body).to_string();
            assert!(error.contains(why), "{body}: {error}");
        }
        assert!(check_answer(200, br#"{"newKey":[]}"#).is_ok());
    }
}
