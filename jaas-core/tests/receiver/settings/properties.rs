//! For any input, no answer holds a passcode that is not all digits, or occupants outside 2 to 500.

use jaas_core::Fqn;
use jaas_core::settings::{LobbyType, MeetingSettings, RoomRules, SettingsRequest};
use jaas_testkit::settings::check_answer;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn check(settings: &MeetingSettings) {
    let answer = settings.to_answer();
    check_answer(200, answer.as_bytes()).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let again = MeetingSettings::from_json(&serde_json::to_string(settings).expect("JSON"))
        .expect("what was written");
    assert_eq!(&again, settings);
    let passcode = settings.passcode().map(|passcode| passcode.expose().to_owned()).unwrap_or_default();
    let shown = format!("{settings:?}{}", settings.to_hidden());
    // A short passcode also occurs in other numbers.
    assert!(passcode.len() < 12 || !shown.contains(&passcode), "{shown}");
}

/// Passcodes, good and bad, of more scripts than one.
fn digits() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{0,14}", "[0-9]{1,4}[a-z \u{0}-\u{20}٣१]{1}[0-9]{0,3}", ".{0,6}"]
}

/// Any JSON value, more often one that resembles the right one.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3_i64..600).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        digits().prop_map(Value::from),
        Just(Value::Null),
        prop_oneof!["WAIT_FOR_APPROVAL", "WAIT_FOR_MODERATOR", "GOOGLE", "GUEST"].prop_map(Value::from),
        Just(json!(["1", 2])),
        Just(json!({"passcode": "x", "maxOccupants": 1})),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "passcode",
        "maxOccupants",
        "lobbyEnabled",
        "lobbyType",
        "visitorsEnabled",
        "participantsSoftLimit",
        "transcriber",
        "transcriberType",
        "extra",
        "hideDisplayName",
        "Passcode|max_occupants|other",
    ]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let plain = proptest::collection::vec((key(), value()), 0..6);
    let extra = proptest::collection::vec((key(), value()), 0..3);
    (plain, extra, any::<bool>()).prop_map(|(plain, extra, nested)| {
        let mut object: Map<_, _> = plain.into_iter().collect();
        if nested {
            object.insert("extra".to_owned(), Value::Object(extra.into_iter().collect()));
        }
        object
    })
}

/// TOML for the values it can express.
#[cfg(feature = "toml")]
fn toml(settings: &Map<String, Value>) -> String {
    fn inline(value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::Object(object) => {
                let fields =
                    object.iter().filter_map(|(key, value)| Some(format!("{key:?} = {}", inline(value)?)));
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            Value::Array(list) => {
                format!("[{}]", list.iter().filter_map(inline).collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        })
    }
    format!(
        "[[rules]]\nroom = \"*\"\nsettings = {}\n",
        inline(&Value::Object(settings.clone())).unwrap_or_default()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_builder_makes_no_answer_that_jaas_would_misread(
        passcode in proptest::option::of(digits()),
        occupants in proptest::option::of(prop_oneof![any::<u32>(), 0_u32..600]),
        lobby in proptest::option::of(any::<bool>()),
        typed in any::<bool>(),
        soft_limit in proptest::option::of(any::<u32>()),
        visitors in proptest::option::of(any::<bool>()),
        transcriber in proptest::option::of(".{0,8}"),
        extra in proptest::collection::vec((key(), value()), 0..3),
    ) {
        let mut builder = MeetingSettings::builder();
        if let Some(passcode) = passcode { builder = builder.passcode(passcode); }
        if let Some(occupants) = occupants { builder = builder.max_occupants(occupants); }
        if let Some(lobby) = lobby { builder = builder.lobby_enabled(lobby); }
        if typed { builder = builder.lobby_type(LobbyType::WaitForModerator); }
        if let Some(limit) = soft_limit { builder = builder.participants_soft_limit(limit); }
        if let Some(visitors) = visitors { builder = builder.visitors_enabled(visitors); }
        if let Some(transcriber) = transcriber { builder = builder.transcriber(transcriber); }
        for (key, value) in extra { builder = builder.extra(key, value); }
        if let Ok(settings) = builder.build() {
            check(&settings);
        }
    }

    #[test]
    fn no_json_parses_into_an_answer_that_jaas_would_misread(object in object()) {
        let text = Value::Object(object).to_string();
        if let Ok(settings) = MeetingSettings::from_json(&text) {
            check(&settings);
        }
    }

    #[test]
    fn extra_keys_do_not_get_around_the_checks(key in key(), value in value()) {
        if let Ok(settings) = MeetingSettings::default().with_extra(key, value) {
            check(&settings);
        }
    }

    #[test]
    fn no_rule_file_gives_an_answer_that_jaas_would_misread(object in object(), default in object()) {
        let file = json!({"rules": [{"room": "r*", "settings": object}], "default": default}).to_string();
        if let Ok(rules) = RoomRules::from_json("r.json", &file) {
            for room in ["a/room", "b/other"] {
                check(rules.of(&Fqn::new(room)).expect("a default"));
            }
        }
        #[cfg(feature = "toml")]
        if let Ok(rules) = RoomRules::from_toml("r.toml", &toml(&object)) {
            check(rules.of(&Fqn::new("a/room")).expect("a rule"));
        }
    }

    #[test]
    fn any_text_parses_as_rules_or_settings_without_a_panic(text: String, bytes: Vec<u8>) {
        let _ = RoomRules::from_json("r.json", &text);
        #[cfg(feature = "toml")]
        let _ = RoomRules::from_toml("r.toml", &text);
        let _ = MeetingSettings::from_json(&text);
        let _ = SettingsRequest::parse("main", jaas_core::Timestamp::from_secs(0), bytes.into());
    }
}
