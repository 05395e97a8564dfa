//! Mean and 95th percentile of any number of values, in memory that does not grow with them.

use std::fmt;

/// The ratio of the ends of a bucket: a returned value is within 2.5 % of the one added.
const RATIO: f64 = 1.05;

/// Smaller values are counted as 0: less than a tenth of a microsecond, a millionth of a frame.
const LEAST: f64 = 1e-7;

/// Larger values are counted as this: more bits per second than any network carries.
const MOST: f64 = 1e13;

/// The distribution of values: their mean, and the value that 95 % of them do not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Spread {
    /// How many values there were; never 0.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The value that 95 % of them do not exceed, within 2.5 %.
    pub p95: f64,
    /// The largest value.
    pub max: f64,
}

/// Like `mean 0.012, p95 0.04`.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mean {:.3}, p95 {:.3}", self.mean, self.p95)
    }
}

/// Collects values.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    zeros: u64,
    /// How many values lie in each bucket from `first` on, some thousand at most.
    buckets: Vec<u64>,
    first: i32,
}

impl Values {
    /// Adds a value that is not negative.
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let value = value.min(MOST);
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(value);
        if value < LEAST {
            self.zeros += 1;
            return;
        }
        let bucket = (value.ln() / RATIO.ln()).floor() as i32;
        if self.buckets.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = (self.first - bucket) as usize;
            self.buckets.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let at = (bucket - self.first) as usize;
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
    }

    /// Adds a value, if there is one.
    pub(super) fn add_some(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.add(value);
        }
    }

    /// Returns their distribution; `None` when there were no values.
    pub(super) fn spread(&self) -> Option<Spread> {
        if self.count == 0 {
            return None;
        }
        let mean = self.sum / self.count as f64;
        Some(Spread { count: self.count, mean, p95: self.p95(), max: self.max })
    }

    fn p95(&self) -> f64 {
        let rank = (self.count as f64 * 0.95).ceil() as u64;
        let mut below = self.zeros;
        if rank <= below {
            return 0.0;
        }
        for (bucket, count) in (self.first..).zip(&self.buckets) {
            below += count;
            if rank <= below {
                return RATIO.powf(f64::from(bucket) + 0.5).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Option<Spread> {
        let mut all = Values::default();
        values.iter().for_each(|value| all.add(*value));
        all.spread()
    }

    #[test]
    fn no_values_have_no_spread_and_odd_values_are_ignored() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[f64::NAN, f64::INFINITY, -1.0]), None);
        assert_eq!(spread(&[0.0, 0.0]).map(|all| (all.count, all.mean, all.p95)), Some((2, 0.0, 0.0)));
    }

    #[test]
    fn values_of_every_size_take_little_memory() {
        let mut all = Values::default();
        (-400..400).for_each(|exponent| all.add(10_f64.powi(exponent)));
        assert!(all.buckets.len() < 1000, "{}", all.buckets.len());
    }

    proptest::proptest! {
        #[test]
        fn mean_and_percentile_are_those_of_the_sorted_values(mut values in proptest::collection::vec(0.0001_f64..1e9, 1..300)) {
            let all = spread(&values).expect("some");
            values.sort_by(f64::total_cmp);
            let exact = values[(values.len() as f64 * 0.95).ceil() as usize - 1];
            proptest::prop_assert!((all.p95 / exact - 1.0).abs() <= 0.0251, "{} {exact}", all.p95);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            proptest::prop_assert!((all.mean / mean - 1.0).abs() < 1e-9);
            proptest::prop_assert_eq!(all.max, values[values.len() - 1]);
        }
    }
}
