//! Cells of a table for spreadsheets.

use std::time::Duration;

use jiff::tz::{Offset, TimeZone};

use crate::timestamp::Timestamp;

/// Lines of cells, as RFC 4180 has them.
#[derive(Default)]
pub(super) struct Csv(String);

impl Csv {
    pub(super) fn line<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        // A spreadsheet takes what begins so for a formula, and a name is what a participant has typed. Some pass over blanks
        // before it.
        let is_formula =
            text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
        let text = if is_formula { format!("'{text}") } else { text.to_owned() };
        if text.contains([',', '"', '\r', '\n']) {
            self.0.push('"');
            self.0.push_str(&text.replace('"', "\"\""));
            self.0.push('"');
        } else {
            self.0.push_str(&text);
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Minutes with two decimals, rounded.
pub(super) fn minutes(duration: Duration) -> String {
    let hundredths = (duration.as_millis() + 300) / 600;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// RFC 3339 with milliseconds and the zone's offset at that time; `Z` for UTC.
pub(super) fn rfc3339(at: Timestamp, zone: &TimeZone) -> String {
    let Ok(exact) = jiff::Timestamp::try_from(at) else { return at.to_string() };
    match zone.to_offset(exact) {
        offset if offset == Offset::UTC => at.to_string(),
        offset => format!("{:.3}", exact.display_with_offset(offset)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: &[&str]) -> String {
        let mut csv = Csv::default();
        csv.line(cells);
        csv.finish()
    }

    #[test]
    fn cells_are_quoted_when_they_must_be() {
        assert_eq!(line(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(line(&["a,b", "say \"a\"", "a\nb"]), "\"a,b\",\"say \"\"a\"\"\",\"a\nb\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+49 30", "-1", "@x", " =1", "\t=1", "\u{a0}=1", "\tx"] {
            assert!(line(&[text]).starts_with('\'') || line(&[text]).starts_with("\"'"), "{text:?}");
        }
        assert_eq!(line(&["=1,2"]), "\"'=1,2\"\r\n");
        assert_eq!(line(&["1-1", "a=b"]), "1-1,a=b\r\n");
    }

    #[test]
    fn minutes_have_two_decimals() {
        for (millis, text) in
            [(0, "0.00"), (299, "0.00"), (300, "0.01"), (60_000, "1.00"), (5_999_999, "100.00")]
        {
            assert_eq!(minutes(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_time_has_the_offset_of_its_zone() {
        let at = Timestamp::from_millis(1_600_951_818_143);
        assert_eq!(rfc3339(at, &TimeZone::UTC), "2020-09-24T12:50:18.143Z");
        let zone = TimeZone::fixed(Offset::constant(2));
        assert_eq!(rfc3339(at, &zone), "2020-09-24T14:50:18.143+02:00");
        assert_eq!(rfc3339(Timestamp::from_millis(i64::MAX), &zone), format!("{}ms", i64::MAX));
    }
}
