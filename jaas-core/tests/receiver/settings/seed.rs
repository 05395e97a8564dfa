//! What 8x8's page says.

use jaas_core::settings::{FailurePolicy, RoomRules, SettingsService};
use jaas_testkit::settings::{SettingsQuestion, assert_valid_for_jaas};
use serde_json::json;

#[tokio::test]
async fn the_documented_question_gets_the_documented_answer() {
    let rules = r#"{"rules": [{"room": "roomName", "settings": {
        "lobbyEnabled": true, "passcode": "0000", "lobbyType": "WAIT_FOR_APPROVAL", "maxOccupants": 4,
        "transcriber": "EGHT_WHISPER"}}]}"#;
    let rules = RoomRules::from_json("rooms.json", rules).expect("allowed");
    let service = SettingsService::builder(rules, FailurePolicy::fail_closed()).build().expect("good");
    let question = SettingsQuestion::about("AppID/roomName");
    assert_eq!(question.body(), r#"{"fqn":"AppID/roomName"}"#);
    let answer = assert_valid_for_jaas(&service.answer(question.request()).await);
    let documented = json!({
        "lobbyEnabled": true,
        "passcode": "0000",
        "lobbyType": "WAIT_FOR_APPROVAL",
        "maxOccupants": 4,
        "transcriber": "EGHT_WHISPER",
        // The name in today's documentation.
        "transcriberType": "EGHT_WHISPER",
    });
    assert_eq!(serde_json::Value::from(answer), documented);
}
