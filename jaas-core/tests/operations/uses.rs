//! What an expression asks for, compared with the table of metrics.

use std::collections::BTreeSet;

use jaas_core::telemetry::{METRICS, Metric, MetricKind};
use promql_parser::label::Matcher;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector};

/// Labels that Prometheus and the exporter add.
const ADDED: &[&str] = &["job", "instance"];

/// Parses an expression and checks each metric and label in it. Returns the metrics, and the labels of the result.
pub(crate) fn check(text: &str) -> Result<(BTreeSet<&'static str>, BTreeSet<String>), String> {
    let expr = parser::parse(text)?;
    if expr.value_type() == ValueType::Matrix {
        return Err(format!("the result is a range in {text}"));
    }
    let mut metrics = BTreeSet::new();
    let labels = walk(&expr, false, &mut metrics).map_err(|error| format!("{error} in {text}"))?;
    Ok((metrics, labels))
}

/// Returns the labels that the result has; `counted` inside of `rate` and `increase`.
fn walk(
    expr: &Expr,
    counted: bool,
    metrics: &mut BTreeSet<&'static str>,
) -> Result<BTreeSet<String>, String> {
    match expr {
        Expr::NumberLiteral(_) => Ok(BTreeSet::new()),
        Expr::Paren(inner) => walk(&inner.expr, counted, metrics),
        Expr::Unary(inner) => walk(&inner.expr, counted, metrics),
        Expr::VectorSelector(series) => selected(series, counted, metrics),
        Expr::MatrixSelector(range) => selected(&range.vs, counted, metrics),
        Expr::Aggregate(AggregateExpr { expr, modifier, .. }) => {
            let inner = walk(expr, false, metrics)?;
            match modifier {
                None => Ok(BTreeSet::new()),
                Some(LabelModifier::Include(by)) => {
                    match by.labels.iter().find(|label| !inner.contains(*label)) {
                        Some(unknown) => Err(format!("there is no {unknown} to aggregate by")),
                        None => Ok(by.labels.iter().cloned().collect()),
                    }
                }
                Some(LabelModifier::Exclude(_)) => Err("name the labels to aggregate by".to_owned()),
            }
        }
        Expr::Call(Call { func, args }) => {
            let counted = func.name == "rate" || func.name == "increase";
            let mut labels = BTreeSet::new();
            for argument in &args.args {
                labels = walk(argument, counted, metrics)?;
            }
            match func.name {
                "histogram_quantile" if !labels.remove("le") => Err("quantiles need le".to_owned()),
                "absent" => Ok(BTreeSet::new()),
                _ => Ok(labels),
            }
        }
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) => {
            let (left, right) = (walk(lhs, false, metrics)?, walk(rhs, false, metrics)?);
            if left == right || right.is_empty() {
                Ok(left)
            } else {
                Err(format!("the sides of {op} have different labels, {left:?} and {right:?}"))
            }
        }
        other => Err(format!("{other} is not used here")),
    }
}

/// The labels of a metric's series.
fn selected(
    series: &VectorSelector,
    counted: bool,
    metrics: &mut BTreeSet<&'static str>,
) -> Result<BTreeSet<String>, String> {
    let name = series.name.as_deref().ok_or("a selector names its metric")?;
    let (metric, is_bucket) = find(name)?;
    if counted != (metric.kind != MetricKind::Gauge) {
        return Err(format!("{name} is a {}, and rate and increase are for what grows", metric.kind));
    }
    metrics.insert(metric.name);
    let mut labels: BTreeSet<String> = metric.labels.iter().map(|label| label.name.to_owned()).collect();
    labels.extend(ADDED.iter().map(|label| (*label).to_owned()));
    labels.extend(is_bucket.then(|| "le".to_owned()));
    for matcher in &series.matchers.matchers {
        if !labels.contains(&matcher.name) {
            return Err(format!("{name} has no label {}", matcher.name));
        }
        check_value(metric, matcher)?;
    }
    Ok(labels)
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
    let meaning = metric.labels.iter().find(|label| label.name == matcher.name).map(|label| label.meaning);
    let Some(meaning) = meaning.filter(|meaning| meaning.contains('`') && !meaning.starts_with("as in"))
    else {
        return Ok(());
    };
    let unknown =
        matcher.value.split('|').find(|value| *value != ".*" && !meaning.contains(&format!("`{value}`")));
    unknown.map_or(Ok(()), |value| Err(format!("{} of {} is never {value}", matcher.name, metric.name)))
}

#[test]
fn an_expression_over_what_is_not_measured_is_refused() {
    for (wrong, why) in [
        ("sum(", "unclosed left parenthesis"),
        ("jaas_queue_events[5m]", "a range"),
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
