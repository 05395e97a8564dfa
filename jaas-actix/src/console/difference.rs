//! What is different between two JSON bodies, by its place in them.

use serde_json::Value;

/// One difference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The names and indexes that lead to it.
    pub(crate) path: Vec<String>,
    /// What the first body has there.
    pub(crate) first: Option<Value>,
    /// What the other body has there.
    pub(crate) other: Option<Value>,
}

impl Difference {
    /// The place, but not deeper than two names: deeper ones can be addresses of participants.
    pub(crate) fn outer_path(&self) -> String {
        match &*self.path {
            [] => "(the whole body)".to_owned(),
            [outer, inner, _, ..] => format!("{outer}.{inner}.…"),
            path => path.join("."),
        }
    }

    /// The whole place.
    pub(crate) fn full_path(&self) -> String {
        if self.path.is_empty() { self.outer_path() } else { self.path.join(".") }
    }

    /// What is different, without the values.
    pub(crate) fn kind(&self) -> String {
        match (&self.first, &self.other) {
            (Some(first), Some(other)) => format!("{} became {}", kind(first), kind(other)),
            (Some(first), None) => format!("{} only in the first body", kind(first)),
            (None, Some(other)) => format!("{} only in the other body", kind(other)),
            (None, None) => "equal".to_owned(),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The first differences between two bodies, at most `max`, and whether there are more. `None` when one of them is not
/// JSON.
pub(crate) fn differences(first: &[u8], other: &[u8], max: usize) -> Option<(Vec<Difference>, bool)> {
    let (first, other) = (serde_json::from_slice(first).ok()?, serde_json::from_slice(other).ok()?);
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(&first), Some(&other), max, &mut found);
    let more = found.len() > max;
    found.truncate(max);
    Some((found, more))
}

/// The depth is bounded: the parser refuses JSON that is nested deeper than 128 levels.
fn compare(
    path: &mut Vec<String>,
    first: Option<&Value>,
    other: Option<&Value>,
    max: usize,
    found: &mut Vec<Difference>,
) {
    if found.len() > max || first == other {
        return;
    }
    match (first, other) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let added = two.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                path.push(name.clone());
                compare(path, one.get(name), two.get(name), max, found);
                path.pop();
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for index in 0..one.len().max(two.len()) {
                path.push(index.to_string());
                compare(path, one.get(index), two.get(index), max, found);
                path.pop();
            }
        }
        _ => found.push(Difference { path: path.clone(), first: first.cloned(), other: other.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(first: &str, other: &str) -> Vec<(String, String)> {
        let (found, more) = differences(first.as_bytes(), other.as_bytes(), 10).unwrap();
        assert!(!more);
        found.iter().map(|difference| (difference.full_path(), difference.kind())).collect()
    }

    #[test]
    fn each_difference_has_its_place_and_kind() {
        let first = r#"{"a":1,"data":{"name":"Ada","gone":true,"list":[1,2]},"same":{"x":[null]}}"#;
        let other = r#"{"data":{"list":[1,"2",3],"name":"Bob","new":{}},"same":{"x":[null]},"a":1}"#;
        let found = paths(first, other);
        let found: Vec<_> = found.iter().map(|(path, kind)| (&**path, &**kind)).collect();
        assert_eq!(
            found,
            [
                ("data.gone", "a truth value only in the first body"),
                ("data.list.1", "a number became a text"),
                ("data.list.2", "a number only in the other body"),
                ("data.name", "a text became a text"),
                ("data.new", "an object only in the other body"),
            ]
        );
        assert_eq!(
            paths("{}", "[]"),
            [("(the whole body)".to_owned(), "an object became a list".to_owned())]
        );
        assert_eq!(paths(first, first), []);
    }

    #[test]
    fn what_is_not_json_is_not_compared_and_lists_are_cut() {
        assert_eq!(differences(b"{", b"{}", 5), None);
        let (found, more) = differences(b"[1,2,3]", b"[4,5,6]", 2).unwrap();
        assert!(found.len() == 2 && more);
    }

    #[test]
    fn deep_names_are_hidden_in_the_outer_path() {
        let (found, _) =
            differences(br#"{"data":{"stats":{"ada@x":1}}}"#, br#"{"data":{"stats":{}}}"#, 5).unwrap();
        assert_eq!(found[0].outer_path(), "data.stats.…");
    }
}
