//! What a request asks for, and links that ask for it.

use actix_web::web::Query;
use jaas_core::Timestamp;
use jaas_core::meetings::TimeCursor;
use jaas_core::store::RowId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::failure::Failure;

/// What stays as it is in a query: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The names and values of a query or of a form.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `application/x-www-form-urlencoded` text.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match Query::<Vec<(String, String)>>::from_query(text) {
            Ok(pairs) => Ok(Self(pairs.into_inner())),
            Err(_) => Err(Failure::request("the query or the form cannot be parsed")),
        }
    }

    /// The value of a field, trimmed; `None` when it is absent or blank, as an empty field of a form is.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().filter(|(known, _)| known == name).find_map(|(_, value)| present(value))
    }

    /// Every value of a field that is not blank.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).filter_map(|(_, value)| present(value))
    }

    /// The value of a field, or an empty text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The rows that a field names.
    pub(crate) fn rows(&self, name: &str) -> Result<Vec<RowId>, Failure> {
        let parse = |text: &str| text.parse().map(RowId::new);
        let rows: Result<Vec<_>, _> = self.all(name).map(parse).collect();
        rows.map_err(|_| Failure::request(format!("{name} is not the number of a row")))
    }

    /// The row that a field names.
    pub(crate) fn row(&self, name: &str) -> Result<Option<RowId>, Failure> {
        Ok(self.rows(name)?.first().copied())
    }

    /// A place in a list that is ordered by time.
    pub(crate) fn time_cursor(&self, name: &str) -> Result<Option<TimeCursor>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let cursor = TimeCursor::parse(text);
        cursor.map(Some).ok_or_else(|| Failure::request(format!("{name} is not a place in the list")))
    }

    /// A count; 0 when it is absent.
    pub(crate) fn count(&self, name: &str) -> Result<u64, Failure> {
        let parsed = self.get(name).map_or(Ok(0), str::parse);
        parsed.map_err(|_| Failure::request(format!("{name} is not a number")))
    }

    /// A time in UTC: what `<input type="datetime-local">` sends, or RFC 3339.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let civil = || {
            let at: jiff::civil::DateTime = text.parse().ok()?;
            jiff::tz::Offset::UTC.to_timestamp(at).ok()
        };
        match text.parse::<jiff::Timestamp>().ok().or_else(civil) {
            Some(at) => Ok(Some(at.into())),
            None => {
                Err(Failure::request(format!("{name} is not a time; write it in UTC as 2026-11-28T09:30")))
            }
        }
    }

    /// The link to a page with the same fields, of which one has another value.
    pub(crate) fn href_with(&self, page: &str, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(known, _)| known != name);
        let others = others.map(|(name, value)| (&**name, value.trim()));
        href(page, others.chain([(name, value)]))
    }

    /// The link to a page with the same fields.
    pub(crate) fn href(&self, page: &str) -> String {
        href(page, self.0.iter().map(|(name, value)| (&**name, value.trim())))
    }
}

/// A value that is not blank, trimmed.
fn present(value: &str) -> Option<&str> {
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// A relative link to a page with these fields; leaves out fields without a value.
pub(crate) fn href<'a>(page: &str, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut link = page.to_owned();
    for (name, value) in fields {
        if value.is_empty() {
            continue;
        }
        link.push(if link.len() == page.len() { '?' } else { '&' });
        link.extend(utf8_percent_encode(name, ENCODED));
        link.push('=');
        link.extend(utf8_percent_encode(value, ENCODED));
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_same_fields() {
        let odd = "a&b=c?d#e %20+\u{e9}\"<>'";
        let link = href("inbox", [("room", odd), ("type", ""), ("key", "k")]);
        let (page, query) = link.split_once('?').unwrap();
        assert_eq!(page, "inbox");
        let params = Params::parse(query).unwrap();
        assert_eq!((params.get("room"), params.get("type"), params.get("key")), (Some(odd), None, Some("k")));
        assert_eq!(Params::parse("").unwrap().href("inbox"), "inbox");
        assert_eq!(params.href_with("inbox", "key", "l"), href("inbox", [("room", odd), ("key", "l")]));
    }

    #[test]
    fn times_are_utc() {
        let at = |text| Params::parse(&href("", [("from", text)])[1..]).unwrap().time("from").ok().flatten();
        let expected = Some(Timestamp::from_secs(1_760_000_000));
        assert_eq!(at("2025-10-09T08:53:20"), expected);
        assert_eq!(at("2025-10-09T08:53:20Z"), expected);
        assert_eq!(at("2025-10-09T08:53"), Some(Timestamp::from_secs(1_759_999_980)));
        assert_eq!(at("yesterday"), None);
    }
}
