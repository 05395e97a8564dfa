//! `docs/operations/jaas-dashboard.json`.

use std::collections::BTreeSet;

use jaas_core::telemetry::METRICS;
use serde_json::Value;

use crate::operations::uses::check;

const DASHBOARD: &str = include_str!("../../../docs/operations/jaas-dashboard.json");

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// The expression as Grafana sends it, with something chosen for its variables.
fn filled_in(expr: &str) -> String {
    let choices = [("$__rate_interval", "5m"), ("$__range", "6h"), ("$job", ".*"), ("$endpoint", ".*")];
    choices.iter().fold(expr.to_owned(), |expr, (variable, choice)| expr.replace(variable, choice))
}

#[test]
fn every_panel_uses_metrics_and_labels_that_exist_and_every_metric_has_a_panel() {
    let mut shown = BTreeSet::new();
    for panel in panels().iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expr = filled_in(target["expr"].as_str().expect("an expression"));
            let (metrics, labels) = check(&expr).unwrap_or_else(|error| panic!("{title}: {error}"));
            shown.extend(metrics);
            let legend = target["legendFormat"].as_str().expect("a legend");
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                assert!(labels.contains(label), "{title}: the legend's {label} is not among {labels:?}");
            }
        }
    }
    let defined: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, defined);
}

#[test]
fn every_panel_has_a_description_a_unit_and_a_row() {
    let panels = panels();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    assert_eq!(panels[0]["type"], "row");
    let mut taken = BTreeSet::new();
    for panel in &panels {
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| place[side].as_u64().expect("a number"));
        assert!(x + w <= 24, "{}", panel["title"]);
        for column in x..x + w {
            for line in y..y + h {
                assert!(taken.insert((column, line)), "{} overlaps another panel", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{}",
                panel["title"]
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{}", panel["title"]);
        }
    }
}
