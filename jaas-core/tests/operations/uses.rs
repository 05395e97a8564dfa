//! What an expression asks for, compared with the table of metrics.

use std::collections::BTreeSet;

use jaas_core::telemetry::{METRICS, Metric, MetricKind};

use crate::promql::{Expr, Matcher, parse};

/// Labels that Prometheus and the exporter add.
const ADDED: &[&str] = &["job", "instance"];

/// Reads an expression, checks every metric and label in it, and answers the metrics and the labels of its result.
pub(crate) fn check(text: &str) -> Result<(BTreeSet<&'static str>, BTreeSet<String>), String> {
    let mut metrics = BTreeSet::new();
    let labels = walk(&parse(text)?, false, &mut metrics).map_err(|error| format!("{error} in {text}"))?;
    Ok((metrics, labels))
}

/// Answers the labels that the result has; `counted` inside of `rate` and `increase`.
fn walk(
    expr: &Expr,
    counted: bool,
    metrics: &mut BTreeSet<&'static str>,
) -> Result<BTreeSet<String>, String> {
    match expr {
        Expr::Number(_) => Ok(BTreeSet::new()),
        Expr::Series { metric, matchers, .. } => {
            let (known, is_bucket) = find(metric)?;
            if counted != (known.kind != MetricKind::Gauge) {
                return Err(format!(
                    "{metric} is a {}, and rate and increase are for what grows",
                    known.kind.as_str()
                ));
            }
            metrics.insert(known.name);
            let mut labels: BTreeSet<String> =
                known.labels.iter().map(|label| label.name.to_owned()).collect();
            labels.extend(ADDED.iter().map(|label| (*label).to_owned()));
            labels.extend(is_bucket.then(|| "le".to_owned()));
            for matcher in matchers {
                if !labels.contains(&matcher.label) {
                    return Err(format!("{metric} has no label {}", matcher.label));
                }
                check_value(known, matcher)?;
            }
            Ok(labels)
        }
        Expr::Aggregate { by, of } => {
            let inner = walk(of, false, metrics)?;
            match by.iter().find(|label| !inner.contains(*label)) {
                Some(unknown) => Err(format!("there is no {unknown} to aggregate by")),
                None => Ok(by.iter().cloned().collect()),
            }
        }
        Expr::Call { name, arguments } => {
            let counted = name == "rate" || name == "increase";
            let mut labels = BTreeSet::new();
            for argument in arguments {
                labels = walk(argument, counted, metrics)?;
            }
            match &**name {
                "histogram_quantile" if !labels.remove("le") => Err("quantiles need le".to_owned()),
                "absent" => Ok(BTreeSet::new()),
                _ => Ok(labels),
            }
        }
        Expr::Binary { operator, left, right } => {
            let (left, right) = (walk(left, false, metrics)?, walk(right, false, metrics)?);
            if left == right || right.is_empty() {
                Ok(left)
            } else {
                Err(format!("the sides of {operator} have different labels, {left:?} and {right:?}"))
            }
        }
    }
}

/// The metric behind a name, and whether it is the buckets of a histogram.
fn find(name: &str) -> Result<(&'static Metric, bool), String> {
    METRICS
        .iter()
        .find_map(|metric| match (metric.kind, name.strip_prefix(metric.name)?) {
            (MetricKind::Histogram, suffix @ ("_bucket" | "_sum" | "_count")) => {
                Some((metric, suffix == "_bucket"))
            }
            (MetricKind::Counter | MetricKind::Gauge, "") => Some((metric, false)),
            _ => None,
        })
        .ok_or_else(|| format!("there is no metric {name}"))
}

/// Where the table lists the values of a label, only those are asked for.
fn check_value(metric: &Metric, matcher: &Matcher) -> Result<(), String> {
    let meaning = metric.labels.iter().find(|label| label.name == matcher.label).map(|label| label.meaning);
    let Some(meaning) = meaning.filter(|meaning| meaning.contains('`') && !meaning.starts_with("as in"))
    else {
        return Ok(());
    };
    let unknown =
        matcher.value.split('|').find(|value| *value != ".*" && !meaning.contains(&format!("`{value}`")));
    unknown.map_or(Ok(()), |value| Err(format!("{} of {} is never {value}", matcher.label, metric.name)))
}

#[test]
fn what_is_not_told_cannot_be_asked_for() {
    for (wrong, why) in [
        ("jaas_nothing", "there is no metric"),
        ("rate(jaas_accept_seconds[5m])", "there is no metric"),
        ("jaas_deliveries_total", "for what grows"),
        ("rate(jaas_queue_events[5m])", "for what grows"),
        ("jaas_queue_events{reply=\"stored\"}", "no label reply"),
        ("jaas_queue_events{state=~\"dead|alive\"}", "never alive"),
        ("sum by (handler) (jaas_queue_events)", "no handler to aggregate by"),
        ("histogram_quantile(0.5, sum(rate(jaas_accept_seconds_bucket[5m])))", "quantiles need le"),
        (
            "jaas_queue_events / max(jaas_queue_events) / jaas_queue_oldest_seconds > jaas_queue_events{} unless sum by (state) (jaas_queue_events)",
            "different labels",
        ),
    ] {
        let error = check(wrong).expect_err(wrong);
        assert!(error.contains(why), "{error}");
    }
}
