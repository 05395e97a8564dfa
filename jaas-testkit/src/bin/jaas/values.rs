//! Values of options, as written on the command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use jaas_core::{Clock as _, SystemClock, Timestamp};
use serde_json::Value;

/// `5%` or `0.05`.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let part: f64 = number.trim().parse().map_err(|_| "write it like 5% or 0.05".to_owned())?;
    let part = part / scale;
    if (0.0..=1.0).contains(&part) { Ok(part) } else { Err("write 0% to 100%".to_owned()) }
}

/// `2..30`, both ends included, or `5`.
pub(crate) fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| {
        text.trim()
            .trim_start_matches('=')
            .parse::<usize>()
            .map_err(|_| "write it like 2..30 or 5".to_owned())
    };
    let (from, to) = (number(from)?, number(to)?);
    if from == 0 {
        return Err("a meeting has at least 1 participant".to_owned());
    }
    if from > to {
        return Err(format!("{from} is more than {to}"));
    }
    Ok(from..=to)
}

/// `250ms`, `3s`, `5m` or `24h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write it like 250ms, 3s, 5m or 24h".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// `2026-11-23T08:00:00Z`, or a number: of seconds since 1970, or of ms if it is too large for them.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(number) = text.parse::<i64>() {
        let millis = number.abs() >= 100_000_000_000;
        return Ok(if millis { Timestamp::from_millis(number) } else { Timestamp::from_secs(number) });
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        "write it like 2026-11-23T08:00:00Z, or as a number of seconds or ms since 1970".to_owned()
    })?;
    Ok(at.into())
}

/// The same, or `now`.
pub(crate) fn time_or_now(text: &str) -> Result<Timestamp, String> {
    if text == "now" { Ok(SystemClock.now()) } else { time(text) }
}

/// `data.name=Ada`: a path, and JSON or else text.
pub(crate) fn assignment(text: &str) -> Result<(String, Value), String> {
    let (path, value) = text.split_once('=').ok_or("write it like data.name=Ada or data.moderator=true")?;
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err("write the path like data.name".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((path.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_percentages_or_numbers_up_to_one() {
        assert_eq!((part("5%"), part("0.05"), part("100 %")), (Ok(0.05), Ok(0.05), Ok(1.0)));
        assert!(part("101%").is_err() && part("-1%").is_err() && part("x").is_err() && part("NaN").is_err());
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!((range("2..30"), range("2..=30"), range("5")), (Ok(2..=30), Ok(2..=30), Ok(5..=5)));
        assert!(range("0..3").is_err() && range("5..2").is_err() && range("..").is_err());
    }

    #[test]
    fn durations_name_their_unit() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!((millis("250ms"), millis("1.5s"), millis("5m")), (Ok(250), Ok(1500), Ok(300_000)));
        assert_eq!(millis("24h"), Ok(86_400_000));
        assert!(duration("3").is_err() && duration("s").is_err() && duration("3 weeks").is_err());
        assert!(duration("99999999999999999999h").is_err());
    }

    #[test]
    fn times_are_dates_seconds_or_milliseconds() {
        let expected = Ok(Timestamp::from_secs(1_795_420_800));
        assert_eq!(time("2026-11-23T08:00:00Z"), expected);
        assert_eq!(time("1795420800"), expected);
        assert_eq!(time("1795420800000"), expected);
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn what_is_set_is_json_or_else_a_text() {
        assert_eq!(assignment("data.moderator=true"), Ok(("data.moderator".to_owned(), true.into())));
        assert_eq!(assignment("data.name=Ada = 1"), Ok(("data.name".to_owned(), "Ada = 1".into())));
        assert!(assignment("x").is_err() && assignment("=1").is_err() && assignment("a..b=1").is_err());
    }
}
