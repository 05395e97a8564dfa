//! Values of options.

use std::time::Duration;

use jaas_core::store::EventState;
use jaas_core::watch::{GapState, Rule};
use jaas_core::{Clock as _, SystemClock, Timestamp};

/// A time: RFC 3339, ms since the epoch, or how long ago (`2h`).
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(millis) = text.parse() {
        return Ok(Timestamp::from_millis(millis));
    }
    if let Ok(ago) = duration(text) {
        return Ok(SystemClock.now().saturating_sub(ago));
    }
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| Timestamp::from_millis(at.as_millisecond())).map_err(|_| {
        "not a time; write 2026-11-28T09:00:00Z, ms since the epoch, or how long ago, such as 90s, 15m, 2h or 7d".into()
    })
}

/// A duration with its unit: `90s`, `15m`, `2h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration; write a number and its unit, such as 90s, 15m, 2h or 7d".to_owned();
    let (end, unit) = text.char_indices().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

pub(crate) fn state(text: &str) -> Result<EventState, String> {
    EventState::from_name(text).ok_or_else(|| {
        let names: Vec<_> = EventState::ALL.iter().map(|state| state.as_str()).collect();
        format!("not a state; the states are {}", names.join(", "))
    })
}

pub(crate) fn gap_state(text: &str) -> Result<GapState, String> {
    GapState::from_name(text).ok_or_else(|| "not a state; the states are open and closed".to_owned())
}

pub(crate) fn rule(text: &str) -> Result<Rule, String> {
    Rule::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        format!("not a rule; the rules are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative() {
        assert_eq!(time("1795420800000"), Ok(Timestamp::from_millis(1_795_420_800_000)));
        assert_eq!(time("2026-11-23T08:00:00Z"), Ok(Timestamp::from_secs(1_795_420_800)));
        assert!(time("1h").expect("relative") < SystemClock.now());
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 24 * 60 * 60)));
        for wrong in ["", "s", "5", "-1s", "1w", "99999999999999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
