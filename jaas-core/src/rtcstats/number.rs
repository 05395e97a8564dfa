//! Numbers from raw JSON, as lenient as the rest: a number in a text counts, as old browsers wrote them.

use crate::lenient::Field;

impl Field for f64 {
    fn parse(raw: &str) -> Option<Self> {
        digits(raw)?.parse().ok().filter(|number: &Self| number.is_finite())
    }
}

/// Whole numbers; fractions are cut off, and a value out of range is not a number.
impl Field for u64 {
    fn parse(raw: &str) -> Option<Self> {
        let digits = digits(raw)?;
        digits.parse().ok().or_else(|| {
            let number: f64 = digits.parse().ok()?;
            // The bounds are exact in f64, so the cast cannot saturate.
            (0.0..18_446_744_073_709_551_616.0).contains(&number).then_some(number as Self)
        })
    }
}

impl Field for u32 {
    fn parse(raw: &str) -> Option<Self> {
        Self::try_from(u64::parse(raw)?).ok()
    }
}

fn digits(raw: &str) -> Option<&str> {
    let digits = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).map_or(raw, str::trim);
    // Rust also parses `inf` and `NaN`.
    digits.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_stand_in_texts_and_nothing_else_is_one() {
        assert_eq!(
            (f64::parse("0.25"), f64::parse("\"-7\""), f64::parse("1e3")),
            (Some(0.25), Some(-7.0), Some(1000.0))
        );
        assert_eq!((u64::parse("18446744073709551615"), u64::parse("1.9e3")), (Some(u64::MAX), Some(1900)));
        assert_eq!(
            (u32::parse("4294967295"), u32::parse("4294967296"), u64::parse("-1")),
            (Some(u32::MAX), None, None)
        );
        for raw in ["null", "true", "{}", "[1]", "\"\"", "\"inf\"", "\"NaN\"", "1e999", "\"x\"", "\"-inf\""] {
            assert_eq!((f64::parse(raw), u64::parse(raw)), (None, None), "{raw}");
        }
    }
}
