//! Parses room rules, and reports the line of each mistake.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{RoomRules, Rule, RulesError, RulesErrorKind};
use crate::settings::MeetingSettings;

/// One rule as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    room: Option<Patterns>,
    tenant: Option<String>,
    settings: Option<MeetingSettings>,
}

/// One pattern or several.
struct Patterns(Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Patterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern such as \"*-vip\", or a list of patterns")
            }

            fn visit_str<E: de::Error>(self, pattern: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![pattern.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                Ok(Patterns(patterns))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// The rules of one file, as they are added.
struct Reading<'a> {
    name: &'a str,
    rules: RoomRules,
}

impl Reading<'_> {
    fn wrong(&self, kind: RulesErrorKind, line: usize, message: impl Into<String>) -> RulesError {
        RulesError::new(kind, self.name, Some(line), message)
    }

    fn add(&mut self, line: usize, written: Written) -> Result<(), RulesError> {
        let missing = |what| {
            let message =
                format!("the rule has no `{what}`; a rule has `room`, `settings` and optionally `tenant`");
            RulesError::new(RulesErrorKind::NotAllowed, self.name, Some(line), message)
        };
        let Patterns(patterns) = written.room.ok_or_else(|| missing("room"))?;
        let settings = written.settings.ok_or_else(|| missing("settings"))?;
        if patterns.is_empty() {
            return Err(self.wrong(
                RulesErrorKind::NotAllowed,
                line,
                "`room` is an empty list; write a pattern such as \"*-vip\", or a list of patterns",
            ));
        }
        for pattern in patterns {
            let added = self.rules.add(&pattern, written.tenant.as_deref(), settings.clone());
            added.map_err(|(kind, message)| self.wrong(kind, line, message))?;
        }
        Ok(())
    }

    /// The default has its own line.
    fn end(self, default: Option<(usize, MeetingSettings)>) -> Result<RoomRules, RulesError> {
        match default {
            Some((line, _)) if self.rules.rules.iter().any(Rule::is_for_every_room) => Err(self.wrong(
                RulesErrorKind::NeverMatches,
                line,
                "the default is never used, because the rule \"*\" matches every room; remove one of them",
            )),
            Some((_, settings)) => Ok(self.rules.default_settings(settings)),
            None if self.rules.rules.is_empty() => Err(RulesError::new(
                RulesErrorKind::Empty,
                self.name,
                None,
                "there is neither a rule nor a default; write `rules`, `default`, or both",
            )),
            None => Ok(self.rules),
        }
    }
}

/// The whole file; each part is parsed separately, so that its line is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<'a> {
    #[serde(borrow, default)]
    rules: Vec<&'a RawValue>,
    #[serde(borrow)]
    default: Option<&'a RawValue>,
}

pub(super) fn from_json(name: &str, text: &str) -> Result<RoomRules, RulesError> {
    let line_of = |part: &RawValue| {
        // A part was borrowed from the text, so its address gives its position.
        let start = part.get().as_ptr() as usize - text.as_ptr() as usize;
        line_at(text, start)
    };
    let wrong = |before: usize, error: &serde_json::Error| {
        let message = error.to_string();
        // The line is already reported, counted from the beginning of the file.
        let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
        RulesError::new(RulesErrorKind::NotAllowed, name, Some(before + error.line().max(1)), message)
    };
    let not_an_object = |line, what| {
        RulesError::new(RulesErrorKind::NotAllowed, name, Some(line), format!("{what} must be an object"))
    };
    if !text.trim_start().starts_with('{') {
        return Err(not_an_object(1, "the file, with `rules` and `default`,"));
    }
    let file: Json<'_> = serde_json::from_str(text).map_err(|error| wrong(0, &error))?;
    let mut reading = Reading { name, rules: RoomRules::new() };
    for rule in file.rules {
        let line = line_of(rule);
        if !rule.get().starts_with('{') {
            return Err(not_an_object(line, "a rule, with `room` and `settings`,"));
        }
        let written = serde_json::from_str(rule.get()).map_err(|error| wrong(line - 1, &error))?;
        reading.add(line, written)?;
    }
    let default = file.default.map(|default| {
        let line = line_of(default);
        let settings = serde_json::from_str(default.get()).map_err(|error| wrong(line - 1, &error))?;
        Ok((line, settings))
    });
    reading.end(default.transpose()?)
}

/// The line of this byte, from 1.
fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(feature = "toml")]
pub(super) fn from_toml(name: &str, text: &str) -> Result<RoomRules, RulesError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Toml {
        #[serde(default)]
        rules: Vec<toml::Spanned<Written>>,
        default: Option<toml::Spanned<MeetingSettings>>,
    }

    let file: Toml = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        // Its `Display` would show the line, and with it the passcode.
        RulesError::new(RulesErrorKind::NotAllowed, name, line, error.message())
    })?;
    let mut reading = Reading { name, rules: RoomRules::new() };
    for rule in file.rules {
        let line = line_at(text, rule.span().start);
        reading.add(line, rule.into_inner())?;
    }
    let default = file.default.map(|default| (line_at(text, default.span().start), default.into_inner()));
    reading.end(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Fqn;

    fn lobby_of(rules: &RoomRules, fqn: &str) -> Option<Option<bool>> {
        rules.of(&Fqn::new(fqn)).map(MeetingSettings::lobby_enabled)
    }

    const JSON: &str = r#"{
        "rules": [
            {"room": "*-vip", "settings": {"lobbyEnabled": true, "passcode": "0420"}},
            {"room": ["lecture-*", "aula"], "tenant": "App-1", "settings": {"visitorsEnabled": true}}
        ],
        "default": {"maxOccupants": 50, "lobbyEnabled": false}
    }"#;

    #[cfg(feature = "toml")]
    const TOML: &str = r#"
        [[rules]]
        room = "*-vip"
        [rules.settings]
        lobbyEnabled = true
        passcode = "0420"

        [[rules]]
        room = ["lecture-*", "aula"]
        tenant = "App-1"
        settings = { visitorsEnabled = true }

        [default]
        maxOccupants = 50
        lobbyEnabled = false
    "#;

    fn check(rules: &RoomRules) {
        assert_eq!(lobby_of(rules, "app-1/Board-VIP"), Some(Some(true)));
        assert_eq!(lobby_of(rules, "app-1/aula"), Some(None));
        assert_eq!(lobby_of(rules, "app-2/aula"), Some(Some(false)), "another tenant has the default");
        assert_eq!(lobby_of(rules, "aula"), Some(Some(false)), "no tenant has the default");
        let by =
            |fqn: &str| rules.of(&Fqn::new(fqn)).and_then(MeetingSettings::decided_by).map(str::to_owned);
        assert_eq!(by("app-1/a-vip").as_deref(), Some(r#"the rule "*-vip""#));
        assert_eq!(by("x").as_deref(), Some("the default of the rules"));
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_the_default_is_last() {
        check(&from_json("rooms.json", JSON).expect("allowed"));
        #[cfg(feature = "toml")]
        check(&from_toml("rooms.toml", TOML).expect("allowed"));
        let without = from_json("rooms.json", r#"{"rules":[{"room":"a","settings":{}}]}"#).expect("allowed");
        assert_eq!(lobby_of(&without, "b"), None);
        let empty = from_json("rooms.json", r#"{"default":{}}"#).expect("allowed");
        assert_eq!(lobby_of(&empty, "b"), Some(None), "an empty default is one");
        #[cfg(feature = "toml")]
        assert_eq!(lobby_of(&from_toml("rooms.toml", "[default]").expect("allowed"), "b"), Some(None));
    }

    #[test]
    fn a_mistake_in_json_is_reported_with_its_line_and_what_is_allowed() {
        for (text, error) in [
            ("", "r.json, line 1: the file, with `rules` and `default`, must be an object"),
            ("{}", "r.json: there is neither a rule nor a default"),
            ("{\n\"rule\": []}", "r.json, line 2: unknown field `rule`, expected `rules` or `default`"),
            (
                "{\"rules\":[\n\n[\"*\"]]}",
                "r.json, line 3: a rule, with `room` and `settings`, must be an object",
            ),
            ("{\"rules\":[\n{\"settings\":{}}]}", "r.json, line 2: the rule has no `room`; a rule has"),
            ("{\"rules\":[\n{\"room\":\"*\"}]}", "r.json, line 2: the rule has no `settings`"),
            ("{\"rules\":[\n{\"room\":[],\"settings\":{}}]}", "r.json, line 2: `room` is an empty list"),
            ("{\"rules\":[\n{\"room\":\"\",\"settings\":{}}]}", "r.json, line 2: a pattern is empty"),
            ("{\"rules\":[\n{\"room\":7,\"settings\":{}}]}", "expected a pattern such as"),
            (
                "{\"rules\":[\n{\"room\":\"*\",\"tenant\":\"a/b\",\"settings\":{}}]}",
                "r.json, line 2: the tenant is",
            ),
            (
                "{\"rules\":[\n{\"room\":\"a\",\"settings\":{}},\n{\"room\":[\"b\",\"vpaas-magic-cookie-1/board\"],\"settings\":{}}]}",
                "r.json, line 3: a pattern has a /; write a room's name without its tenant",
            ),
            (
                "{\"rules\":[\n\n{\"room\":\"a\",\"tenant\":\"*\",\"settings\":{}}]}",
                "r.json, line 3: the tenant is",
            ),
            (
                "{\"rules\":[{\"room\":\"**\",\"settings\":{}}],\n\"default\":{}}",
                "r.json, line 2: the default is never used",
            ),
            (
                "{\"rules\":[\n{\"room\":\"*\",\n\"settings\":{\n\"passcode\":\"98x\"}}]}",
                "r.json, line 4: the passcode may hold the digits 0 to 9 only",
            ),
            (
                "{\"rules\":[\n{\"room\":\"*\",\"settings\":{}},\n{\"room\":\"a\",\"settings\":{}}]}",
                "r.json, line 3: the rule for \"a\" can never match, because \"*\" comes before it",
            ),
            (
                "{\"default\":{\n\n\"maxOccupants\":\n1}}",
                "r.json, line 4: maxOccupants is 1, and must be 2 to 500",
            ),
            (
                "{\"default\":{\n\"lobbyEnable\":true}}",
                "unknown field `lobbyEnable`, expected one of `lobbyEnabled`",
            ),
            ("{\"rules\":[,]}", "r.json, line 1: expected value"),
        ] {
            let message = from_json("r.json", text).expect_err(text).to_string();
            assert!(message.contains(error), "{text}: {message}");
            assert!(!message.contains("98x"), "{message}");
        }
    }

    #[cfg(feature = "toml")]
    #[test]
    fn a_mistake_in_toml_is_reported_with_its_line_and_what_is_allowed() {
        for (text, error) in [
            ("", "r.toml: there is neither a rule nor a default"),
            (
                "\n[[rule]]\nroom = \"*\"",
                "r.toml, line 2: unknown field `rule`, expected `rules` or `default`",
            ),
            ("\n[[rules]]\nsettings = {}", "r.toml, line 2: the rule has no `room`"),
            (
                "\n\n[[rules]]\nroom = \"*\"\n[rules.settings]\npasscode = \"98x\"\n",
                "r.toml, line 6: the passcode may",
            ),
            ("[default]\npasscode = 9817\n", "r.toml, line 2: the passcode is a number; write it in quotes"),
            ("[default]\npasscode = 09817\n", "r.toml, line 2: "),
            ("[default]\nmaxOccupants = 501", "r.toml, line 2: maxOccupants is 501, and must be 2 to 500"),
            ("[default]\nlobbyEnable = true", "r.toml, line 2: unknown field `lobbyEnable`, expected one of"),
            (
                "[[rules]]\nroom = \"*\"\nsettings = {}\n\n[[rules]]\nroom = \"a\"\nsettings = {}",
                "r.toml, line 5: the rule for \"a\" can never match",
            ),
            (
                "[[rules]]\nroom = \"a\"\n[rules.settings]\nlobbyType = \"WAIT_FOR_MODERATOR\"",
                "lobbyType is set and lobbyEnabled is not true",
            ),
            (
                "[[rules]]\nroom = \"a\"\nsettings = {}\n\n[[rules]]\nroom = \"vpaas-magic-cookie-1/board\"\nsettings = {}",
                "r.toml, line 5: a pattern has a /",
            ),
            (
                "[[rules]]\nroom = \"*\"\nsettings = {}\n\n[default]\nlobbyEnabled = true",
                "r.toml, line 5: the default is never used",
            ),
            ("[[rules]\n", "r.toml, line 1: "),
        ] {
            let message = from_toml("r.toml", text).expect_err(text).to_string();
            assert!(message.contains(error), "{text}: {message}");
            assert!(!message.contains("98x") && !message.contains("9817"), "{message}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_changes_no_line() {
        check(&RoomRules::from_json("rooms.json", &format!("\u{feff}{JSON}")).expect("allowed"));
        let error = RoomRules::from_json("r.json", "\u{feff}{\"default\":{\n\"lobbyEnable\":true}}")
            .expect_err("no key");
        assert_eq!(error.line(), Some(2));
        #[cfg(feature = "toml")]
        {
            check(&RoomRules::from_toml("rooms.toml", &format!("\u{feff}{TOML}")).expect("allowed"));
            let error =
                RoomRules::from_toml("r.toml", "\u{feff}\n[[rules]]\nsettings = {}").expect_err("no room");
            assert_eq!(error.line(), Some(2));
        }
    }

    #[test]
    fn a_file_is_parsed_by_its_extension() {
        let error = RoomRules::read("rooms.yaml").expect_err("no YAML").to_string();
        assert_eq!(error, "rooms.yaml: a file of room rules ends in .toml or .json");
        let error = RoomRules::read("/nowhere/rooms.json").expect_err("not there");
        assert_eq!((error.kind(), error.file()), (RulesErrorKind::Unreadable, "/nowhere/rooms.json"));
    }
}
