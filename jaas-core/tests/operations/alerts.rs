//! `docs/operations/jaas-alerts.yml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::util::parse_duration;
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde::Deserialize;
use serde_json::Value;

use crate::operations::uses::check;

const RULES: &str = include_str!("../../../docs/operations/jaas-alerts.yml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for", default)]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let documents = Yaml::load_from_str(RULES).expect("YAML");
    let file: File = serde_json::from_value(json(&documents[0])).expect("a file of rules");
    let names: BTreeSet<&String> = file.groups.iter().map(|group| &group.name).collect();
    assert_eq!(names.len(), file.groups.len());
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml<'_>, &Yaml<'_>)| {
                (name.as_str().expect("a name").to_owned(), json(value))
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => panic!("{other:?} where text was expected"),
    }
}

#[test]
fn every_rule_uses_metrics_and_labels_that_exist() {
    let rules = rules();
    let names: BTreeSet<&String> = rules.iter().map(|rule| &rule.alert).collect();
    assert_eq!(names.len(), rules.len(), "names are unique");
    for Rule { alert, expr, lasting, annotations, .. } in &rules {
        assert!(
            lasting.as_deref().is_none_or(|lasting| parse_duration(lasting).is_ok()),
            "{alert}: {lasting:?}"
        );
        let (metrics, labels) = check(expr).unwrap_or_else(|error| panic!("{alert}: {error}"));
        assert!(!metrics.is_empty(), "{alert}");
        for (name, text) in annotations {
            for used in text.split("$labels.").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().expect("a label");
                assert!(
                    labels.contains(used),
                    "{alert}: the label {used} of its {name} is not among {labels:?}"
                );
            }
        }
    }
}

#[test]
fn every_rule_has_a_meaning_a_remedy_and_a_link_to_the_explanation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for Rule { alert, labels, annotations, .. } in rules() {
        assert!(["critical", "warning", "info"].contains(&&*labels["severity"]), "{alert}");
        let given: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(given, ["action", "description", "see", "summary"], "{alert}");
        let (page, heading) = annotations["see"].split_once('#').unwrap_or((&*annotations["see"], ""));
        let text = std::fs::read_to_string(root.join(page))
            .unwrap_or_else(|error| panic!("{alert}: {page}: {error}"));
        let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
        assert!(
            heading.is_empty() || headings.into_iter().any(|known| known == heading),
            "{alert}: {page}#{heading}"
        );
    }
}

/// The fragment that leads to a heading, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>()
        .replace(' ', "-")
}
