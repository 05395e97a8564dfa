//! The closing table.

use std::time::Duration;

use jaas_testkit::simulator::Report;

pub(super) fn of(meetings: usize, report: &Report) -> String {
    let mut table = String::new();
    let mut row = |name: &str, number: usize, note: &str| {
        table.push_str(format!("{name:<16}{number:>9}  {note}").trim_end());
        table.push('\n');
    };
    row("meetings", meetings, "");
    row("events", report.events, "");
    row("sent", report.requests, &format!("{} deliveries and {} retries", report.deliveries, report.retries));
    row(
        "acknowledged",
        report.acknowledged,
        &format!("deliveries, of {} events", report.acknowledged_events),
    );
    row("duplicates", report.copies, "sent on purpose");
    row("refused", report.refused.values().sum(), "");
    for (status, requests) in &report.refused {
        row(&format!("  {status}"), *requests, "");
    }
    row("no response", report.unanswered.values().sum(), "");
    for (reason, requests) in &report.unanswered {
        row(&format!("  {reason}"), *requests, "");
    }
    row("retries", report.retries, "");
    row("not delivered", report.undelivered.len(), "");
    let latency = &report.latency;
    let rate = report.requests as f64 / report.elapsed.as_secs_f64().max(0.001);
    table.push_str(&format!(
        "latency         p50 {}, p95 {}, p99 {}, longest {}\ntook            {}, {rate:.0} requests per second\nbodies          SHA-256 {}\n",
        millis(latency.p50),
        millis(latency.p95),
        millis(latency.p99),
        millis(latency.max),
        seconds(report.elapsed),
        report.bodies_sha256,
    ));
    table
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
