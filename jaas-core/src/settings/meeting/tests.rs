use super::*;

#[test]
fn the_documented_example_is_encoded_with_both_names_of_the_transcriber() {
    let settings = MeetingSettings::builder()
        .lobby_enabled(true)
        .passcode("0000")
        .lobby_type(LobbyType::WaitForApproval)
        .max_occupants(4)
        .transcriber("EGHT_WHISPER")
        .build()
        .expect("allowed");
    let answer: Value = serde_json::from_str(&settings.to_answer()).expect("JSON");
    let documented = serde_json::json!({
        "lobbyEnabled": true, "passcode": "0000", "lobbyType": "WAIT_FOR_APPROVAL", "maxOccupants": 4,
        "transcriber": "EGHT_WHISPER", "transcriberType": "EGHT_WHISPER",
    });
    assert_eq!(answer, documented);
}

#[test]
fn nothing_set_is_an_empty_object() {
    assert_eq!(MeetingSettings::default().to_answer(), "{}");
    assert_eq!(MeetingSettings::builder().build().expect("allowed"), MeetingSettings::default());
}

#[test]
fn every_key_is_known_to_the_list() {
    let all = r#"{"lobbyEnabled":true,"lobbyType":"WAIT_FOR_MODERATOR","passcode":"1","maxOccupants":2,
        "participantsSoftLimit":1,"visitorsEnabled":true,"visitorsLive":false,"transcriber":"GOOGLE",
        "autoTranscriptions":true,"asyncTranscriptions":true,"autoAudioRecording":true,"autoVideoRecording":true,
        "hideDisplayName":"GUEST","outboundPhoneNo":"+49 30 1"}"#;
    let settings = MeetingSettings::from_json(all).expect("allowed");
    let answer: Map<String, Value> = serde_json::from_str(&settings.to_answer()).expect("JSON");
    let mut keys = KEYS.to_vec();
    keys.sort_unstable();
    assert_eq!(answer.keys().collect::<Vec<_>>(), keys);
}

#[test]
fn what_is_not_allowed_says_why() {
    for (json, why) in [
        (r#"{"passcode":""}"#, "the passcode is empty"),
        (r#"{"passcode":"12a"}"#, "the digits 0 to 9 only"),
        (r#"{"passcode":"१२"}"#, "the digits 0 to 9 only"),
        (r#"{"passcode":1234}"#, "write it in quotes"),
        (r#"{"passcode":["1"]}"#, "a passcode of digits in quotes"),
        (r#"{"maxOccupants":1}"#, "maxOccupants is 1, and must be 2 to 500"),
        (r#"{"maxOccupants":501}"#, "must be 2 to 500"),
        (r#"{"maxOccupants":-4}"#, "must be 2 to 500"),
        (r#"{"lobbyType":"WAIT_FOR_MODERATOR"}"#, "set lobbyEnabled to true"),
        (r#"{"lobbyEnabled":false,"lobbyType":"WAIT_FOR_APPROVAL"}"#, "set lobbyEnabled to true"),
        (r#"{"lobbyEnabled":true,"lobbyType":"wait"}"#, "WAIT_FOR_APPROVAL or WAIT_FOR_MODERATOR"),
        (r#"{"participantsSoftLimit":10}"#, "visitorsEnabled"),
        (r#"{"participantsSoftLimit":0,"visitorsEnabled":true}"#, "at least 1"),
        (r#"{"visitorsLive":true}"#, "visitorsEnabled"),
        (r#"{"transcriber":"GOOGLE","transcriberType":"EGHT_WHISPER"}"#, "two names of one setting"),
        (r#"{"transcriber":""}"#, "transcriber is empty"),
        (r#"{"hideDisplayName":""}"#, "hideDisplayName is empty"),
        (r#"{"lobbyEnable":true}"#, "unknown field `lobbyEnable`, expected one of `lobbyEnabled`"),
        (r#"{"passcode":"1","passcode":"2"}"#, "duplicate field `passcode`"),
        (r#"{"extra":{"passcode":"x"}}"#, "passcode cannot be an extra key"),
        (r#"{"extra":{"":1}}"#, "an extra key is empty"),
        ("[true]", "an object of meeting settings"),
    ] {
        let error = MeetingSettings::from_json(json).expect_err(json).to_string();
        assert!(error.contains(why), "{json}: {error}");
        assert!(!error.contains("12a") && !error.contains("1234"), "it quotes the passcode: {error}");
    }
}

#[test]
fn the_builder_refuses_the_same() {
    let kind = |builder: MeetingSettingsBuilder| builder.build().expect_err("refused").kind();
    let builder = MeetingSettings::builder;
    assert_eq!(kind(builder().passcode("x")), SettingsErrorKind::Passcode);
    assert_eq!(kind(builder().max_occupants(1000)), SettingsErrorKind::MaxOccupants);
    assert_eq!(kind(builder().participants_soft_limit(3)), SettingsErrorKind::Contradiction);
    assert_eq!(kind(builder().extra("maxOccupants", 9999)), SettingsErrorKind::ExtraKey);
    assert!(builder().passcode("7").max_occupants(500).build().is_ok());
}

#[test]
fn what_is_written_parses_back() {
    let settings = MeetingSettings::builder()
        .passcode("001")
        .transcriber("NEWER")
        .extra("nested", serde_json::json!({"a": [1]}))
        .build()
        .expect("allowed");
    let written = serde_json::to_string(&settings).expect("JSON");
    assert_eq!(MeetingSettings::from_json(&written).expect("allowed"), settings);
    assert!(settings.to_answer().contains(r#""nested":{"a":[1]}"#));
}

#[test]
fn neither_debug_nor_the_hidden_form_shows_secrets() {
    let settings = MeetingSettings::builder()
        .passcode("918273")
        .outbound_phone_no("+493012345")
        .extra("token", "s3cret")
        .build()
        .expect("allowed");
    let shown =
        format!("{settings:?} {:?} {}", MeetingSettings::builder().passcode("918273"), settings.to_hidden());
    assert!(!shown.contains("918273") && !shown.contains("+493012345"), "{shown}");
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert!(settings.to_hidden().contains(r#""passcode":"…""#));
}
