//! Small charts, drawn here: one SVG path of bars for each.

use std::fmt::Write as _;
use std::time::Duration;

use jaas_core::Timestamp;
use jaas_core::store::Activity;

use super::show::count;

/// The size of a chart in its own units; the style sheet scales it.
pub(crate) const WIDTH: u64 = 240;
pub(crate) const HEIGHT: u64 = 48;

/// A chart of how a number changed.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// The class of its bars in the style sheet.
    pub(crate) class: &'static str,
    /// The bars, as a path.
    pub(crate) path: String,
    /// What it shows, in numbers.
    pub(crate) summary: String,
}

/// What a chart shows of a bar's time.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// Its sum.
    Sum(fn(&Activity) -> u64),
    /// Its largest value.
    Level(fn(&Activity) -> u64),
}

/// The charts of the time up to `now`, one bar for each of `bars` equal parts.
pub(crate) fn charts(activity: &[Activity], now: Timestamp, span: Duration, bars: usize) -> Vec<Chart> {
    let chart = |title, class, of| {
        let values = values(activity, now, span, bars, of);
        Chart { title, class, path: path(&values), summary: summary(&values, span, of) }
    };
    vec![
        chart("Accepted", "", Of::Sum(|row| row.accepted)),
        chart("Settled", "good", Of::Sum(|row| row.settled)),
        chart("Failed runs", "bad", Of::Sum(|row| row.failed)),
        chart("Dead letters", "bad", Of::Sum(|row| row.dead)),
        chart("Waiting", "", Of::Level(|row| row.waiting)),
    ]
}

fn values(activity: &[Activity], now: Timestamp, span: Duration, bars: usize, of: Of) -> Vec<u64> {
    let begin = now.saturating_sub(span);
    let mut values = vec![0_u64; bars];
    for row in activity.iter().filter(|row| row.until > begin) {
        let millis = row.until.duration_since(begin).as_millis();
        let bar = millis.saturating_sub(1) * bars as u128 / span.as_millis().max(1);
        let Some(value) = values.get_mut(usize::try_from(bar).unwrap_or(usize::MAX)) else { continue };
        *value = match of {
            Of::Sum(of) => value.saturating_add(of(row)),
            Of::Level(of) => of(row).max(*value),
        };
    }
    values
}

fn path(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / (values.len() as u64).max(1);
    let mut path = String::new();
    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
        // What is not nothing is visible.
        let height = (u128::from(*value) * u128::from(HEIGHT) / u128::from(most)).max(1);
        let (x, bar) = (index as u64 * width, width.saturating_sub(1).max(1));
        // Writing to a text cannot fail.
        let _ = write!(path, "M{x} {HEIGHT}v-{height}h{bar}v{height}z");
    }
    path
}

fn summary(values: &[u64], span: Duration, of: Of) -> String {
    let most = values.iter().copied().max().unwrap_or(0);
    match of {
        Of::Level(_) => {
            format!("now {}, at most {}", count(values.last().copied().unwrap_or(0)), count(most))
        }
        Of::Sum(_) => {
            let sum = values.iter().sum::<u64>();
            let minutes = (span.as_secs() / 60).max(1);
            format!("{} in total, {:.1} a minute", count(sum), sum as f64 / minutes as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_height_of_their_share() {
        assert_eq!(path(&[0, 2, 4]), "M80 48v-24h79v24zM160 48v-48h79v48z");
        assert_eq!(path(&[0, 0]), "");
        assert!(path(&[1, u64::MAX]).starts_with("M0 48v-1h"));
        assert_eq!(path(&[]), "");
    }
}
