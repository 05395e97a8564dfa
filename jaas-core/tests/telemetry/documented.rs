//! The tables in the chapters on metrics and on tracing are those of the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jaas_core::telemetry::{METRICS, Metric, MetricKind, SPANS};

const COMMAND: &str = "JAAS_BLESS=1 cargo test -p jaas-core --test telemetry documented";

/// Compares the text between two markers of a page with this; with `JAAS_BLESS=1` it writes it there.
fn assert_fresh(page: &str, region: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (begin, end) = (format!("<!-- {region}: begin; {COMMAND} -->\n"), format!("<!-- {region}: end -->"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("{page} has no marker {begin:?}")) + begin.len();
    let to = from + text[from..].find(&end).unwrap_or_else(|| panic!("{page} has no marker {end:?}"));
    let expected = format!("\n{expected}\n");
    if text[from..to] == expected {
        return;
    }
    if std::env::var_os("JAAS_BLESS").is_some() {
        let written = format!("{}{expected}{}", &text[..from], &text[to..]);
        return std::fs::write(&path, written).expect("the page can be written");
    }
    panic!("{page} differs from the table; write it with: {COMMAND}");
}

fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        metrics::Unit::Seconds => "s",
        metrics::Unit::Bytes => "B",
        metrics::Unit::Count => "1",
        other => panic!("{other:?} has no short name here"),
    }
}

#[test]
fn every_metric_is_documented_as_it_is() {
    let mut table = String::from("| metric | kind, unit | labels | meaning |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let (kind, unit) = (metric.kind.as_str(), unit(metric));
        let _ = writeln!(
            table,
            "| `{}` | {kind}, {unit} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        );
    }
    assert_fresh("metrics.md", "metrics", &table);

    let mut meanings: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for metric in METRICS {
        for label in metric.labels {
            meanings.entry((label.name, label.meaning)).or_default().push(format!("`{}`", metric.name));
        }
    }
    let mut table = String::from("| label | values | of |\n|---|---|---|\n");
    for ((label, meaning), of) in meanings {
        let of = if of.len() > 3 { "all others that have it".to_owned() } else { of.join(", ") };
        let _ = writeln!(table, "| `{label}` | {meaning} | {of} |");
    }
    assert_fresh("metrics.md", "labels", &table);

    let mut table = String::from("| histogram | upper bounds |\n|---|---|\n");
    for metric in METRICS.iter().filter(|metric| metric.kind == MetricKind::Histogram) {
        let bounds: Vec<_> = metric.buckets.iter().map(f64::to_string).collect();
        let _ = writeln!(table, "| `{}` | {} |", metric.name, bounds.join(", "));
    }
    assert_fresh("metrics.md", "buckets", &table);
}

#[test]
fn every_span_is_documented_as_it_is() {
    let mut text = String::from("| span | in | level | target | what it spans |\n|---|---|---|---|---|\n");
    for span in SPANS {
        let parent = span.parent.map_or_else(|| "–".to_owned(), |parent| format!("`{parent}`"));
        let _ = writeln!(
            text,
            "| `{}` | {parent} | {} | `{}` | {} |",
            span.name, span.level, span.target, span.help
        );
    }
    text.push_str("\n| span | field | meaning |\n|---|---|---|\n");
    for span in SPANS {
        for (field, meaning) in span.fields {
            let _ = writeln!(text, "| `{}` | `{field}` | {meaning} |", span.name);
        }
    }
    assert_fresh("tracing.md", "spans", &text);
}
