//! Decodes payload fields without failing an event over one odd value.
//!
//! `data` is split into raw fields first, and each field is then decoded separately. A field that does not decode is
//! absent in the typed value and still present in the raw data. Wire facts behind the rules: `moderator` is a bool or a
//! string, ids can be numbers, `null` and `""` both mean none, an empty list may arrive as `{}` and an empty object as
//! `[]`, and anything in a participant's data may be any JSON type because it starts as a copy of the customer's own
//! JWT.

mod define;
mod entries;
mod error;
mod members;
mod news;
mod shape;
mod text;
mod write;

use std::collections::BTreeMap;

pub(crate) use self::define::{fields_table, open_enum, payload};
#[cfg(feature = "rtcstats")]
pub(crate) use self::entries::Key;
pub(crate) use self::entries::members_of;
pub use self::error::{DecodeError, DecodeErrorKind};
pub(crate) use self::news::{News, plain};
use self::shape::{Shape, is_empty, shape};
pub(crate) use self::shape::{is_nothing, type_name};
pub(crate) use self::text::{strict_text, string, text, without_bom, without_lone_surrogates};
pub(crate) use self::write::{Write, WriteFields};

/// A value that decodes from one raw JSON value; `None` when it does not.
pub(crate) trait Field: Sized {
    fn parse(raw: &str) -> Option<Self>;

    /// The same, and notes which inner fields did not fit. A value without inner fields notes nothing.
    fn parse_within(raw: &str, _: &mut Undecoded) -> Option<Self> {
        Self::parse(raw)
    }
}

/// The wire names of known fields whose values were neither null nor empty and did not fit. The names come from the
/// tables of this crate and never from the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Undecoded {
    fields: Vec<&'static str>,
    /// What this version does not know; only noted when asked for.
    news: Option<Box<News>>,
}

impl Undecoded {
    /// The field for an entry of a list or map that is `data` itself: a map's keys come from the sender.
    const DATA: &str = "data";

    /// Continues from what another part of the body noted.
    pub(crate) fn of(fields: &[&'static str]) -> Self {
        Self { fields: fields.to_vec(), news: None }
    }

    /// Also notes what this version does not know.
    pub(crate) fn watching() -> Self {
        Self { fields: Vec::new(), news: Some(Box::default()) }
    }

    pub(crate) fn into_news(self) -> News {
        self.news.map(|news| *news).unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> &[&'static str] {
        &self.fields
    }

    fn note(&mut self, name: &'static str) {
        if !self.fields.contains(&name) {
            self.fields.push(name);
        }
    }

    /// A word of an open enum.
    pub(crate) fn word(&mut self, word: &str, known: bool) {
        if let Some(news) = &mut self.news {
            news.word(word, known);
        }
    }

    /// A member that the payload does not have.
    fn foreign(&mut self, key: &str, raw: &str) {
        if let Some(news) = &mut self.news {
            news.field(key, raw);
        }
    }

    /// Decodes inside this field.
    fn inside<T>(&mut self, name: &'static str, decode: impl FnOnce(&mut Self) -> T) -> T {
        if let Some(news) = &mut self.news {
            news.enter(name);
        }
        let decoded = decode(self);
        if let Some(news) = &mut self.news {
            news.leave();
        }
        decoded
    }

    /// Returns the decoded value, and notes the field when a value was present and did not decode.
    pub(crate) fn checked<T>(&mut self, name: &'static str, raw: &str, read: Option<T>) -> Option<T> {
        if read.is_none() && !is_nothing(raw) {
            self.note(name);
            if let Some(news) = &mut self.news {
                news.odd(name, raw);
            }
        }
        read
    }
}

/// A place in a payload that a raw field can fill.
pub(crate) trait Slot {
    fn fill(&mut self, name: &'static str, raw: &str, undecoded: &mut Undecoded);
}

impl<T: Field> Slot for Option<T> {
    fn fill(&mut self, name: &'static str, raw: &str, undecoded: &mut Undecoded) {
        *self = undecoded.inside(name, |undecoded| {
            let read = T::parse_within(raw, undecoded);
            undecoded.checked(name, raw, read)
        });
    }
}

impl<T: Field> Slot for Vec<T> {
    fn fill(&mut self, name: &'static str, raw: &str, undecoded: &mut Undecoded) {
        *self = undecoded.inside(name, |undecoded| {
            let read = list(name, raw, undecoded).ok();
            undecoded.checked(name, raw, read).unwrap_or_default()
        });
    }
}

/// A payload's fields by wire name.
pub(crate) trait Fields {
    /// Sets the field called `key`; `false` when there is none.
    fn set(&mut self, key: &str, raw: &str, undecoded: &mut Undecoded) -> bool;
}

/// A whole payload, decoded from the raw `data` of an event.
pub(crate) trait Decode: Sized {
    fn parse_data(data: &str, undecoded: &mut Undecoded) -> Result<Self, DecodeError>;
}

/// Decodes an object into `T`, field by field; `null` and an empty list are an empty object.
pub(crate) fn object<T: Fields + Default>(raw: &str, undecoded: &mut Undecoded) -> Result<T, DecodeError> {
    let mut value = T::default();
    entries(raw, "an object", |key, raw| {
        if !value.set(key, raw, undecoded) {
            undecoded.foreign(key, raw);
        }
    })?;
    Ok(value)
}

/// Decodes a list that is `data` itself.
pub(crate) fn data_list<T: Field>(raw: &str, undecoded: &mut Undecoded) -> Result<Vec<T>, DecodeError> {
    list(Undecoded::DATA, raw, undecoded)
}

/// Decodes the list in this field, and omits elements that are not a `T`; `null` and an empty object are an empty list.
fn list<T: Field>(name: &'static str, raw: &str, undecoded: &mut Undecoded) -> Result<Vec<T>, DecodeError> {
    let expected = "a list";
    match shape(raw) {
        Shape::List => {
            let elements = entries::elements_of(raw).map_err(|e| malformed(expected, &e))?;
            let mut element = |raw: &str| {
                let read = T::parse_within(raw, undecoded);
                undecoded.checked(name, raw, read)
            };
            Ok(elements.into_iter().filter_map(&mut element).collect())
        }
        Shape::Object if is_empty(raw) => Ok(Vec::new()),
        Shape::Null => Ok(Vec::new()),
        other => Err(DecodeError::shape(expected, other)),
    }
}

/// Decodes an object used as a map, and omits entries that are not a `V`.
pub(crate) fn map<K: From<String> + Ord, V: Field>(
    raw: &str,
    undecoded: &mut Undecoded,
) -> Result<BTreeMap<K, V>, DecodeError> {
    let mut map = BTreeMap::new();
    entries(raw, "an object", |key, raw| {
        let read = V::parse_within(raw, undecoded);
        if let Some(value) = undecoded.checked(Undecoded::DATA, raw, read) {
            map.insert(K::from(key.to_owned()), value);
        }
    })?;
    Ok(map)
}

impl Field for String {
    fn parse(raw: &str) -> Option<Self> {
        string(raw)
    }
}

impl Field for bool {
    fn parse(raw: &str) -> Option<Self> {
        let word = match raw {
            "true" | "false" => raw,
            _ => raw.trim_matches('"').trim(),
        };
        if word.eq_ignore_ascii_case("true") {
            Some(true)
        } else if word.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }
}

/// Whole numbers; fractions are cut off, and a number in a string counts.
impl Field for i64 {
    fn parse(raw: &str) -> Option<Self> {
        let digits = match shape(raw) {
            Shape::Number => raw,
            Shape::String => raw.trim_matches('"').trim(),
            _ => return None,
        };
        digits.parse().ok().or_else(|| {
            let number: f64 = digits.parse().ok()?;
            // The bounds are exact in f64, so the cast cannot saturate.
            (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0)
                .contains(&number)
                .then_some(number as i64)
        })
    }
}

fn entries(raw: &str, expected: &'static str, each: impl FnMut(&str, &str)) -> Result<(), DecodeError> {
    match shape(raw) {
        Shape::Object => members_of(raw, each).map_err(|e| malformed(expected, &e)),
        Shape::List if is_empty(raw) => Ok(()),
        Shape::Null => Ok(()),
        other => Err(DecodeError::shape(expected, other)),
    }
}

fn malformed(expected: &'static str, error: &serde_json::Error) -> DecodeError {
    DecodeError::shape(expected, format_args!("malformed ({error})"))
}

#[cfg(test)]
#[allow(unreachable_pub)]
mod tests {
    use super::*;
    use crate::id::{Room, UserId};

    payload! {
        /// A sample.
        pub struct Sample {
            /// Text.
            id: Option<UserId> = "id",
            /// A flag.
            flag: Option<bool> = "flag",
            /// A number.
            count: Option<i64> = "count",
            /// A list.
            words: Vec<String> = "words",
            ..flatten {
                /// Where.
                room: Room,
            }
        }
    }

    fn sample(raw: &str) -> Sample {
        object(raw, &mut Undecoded::default()).expect("an object")
    }

    fn list<T: Field>(raw: &str) -> Result<Vec<T>, DecodeError> {
        data_list(raw, &mut Undecoded::default())
    }

    #[test]
    fn a_member_name_with_half_a_surrogate_pair_costs_that_member_only() {
        let read = sample(
            r#"{"\ud800":1,"id":"u","fl\udc00ag":true,"count":7,"\ud83d\ude00":2,"wo\u0072ds":["a"]}"#,
        );
        assert_eq!((read.id, read.flag, read.count), (Some(UserId::new("u")), None, Some(7)));
        assert_eq!(read.words, ["a"], "a name with escapes is the name");
        let read: BTreeMap<String, i64> =
            map(r#"{"a\ud800":1,"b":2}"#, &mut Undecoded::default()).expect("an object");
        assert_eq!(read, BTreeMap::from([("a\u{fffd}".to_owned(), 1), ("b".to_owned(), 2)]));
        assert!(object::<Sample>("{\"a\nb\":1}", &mut Undecoded::default()).is_err(), "this is not JSON");
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_not() {
        for (raw, mended) in [
            (r#"{"\ud800":"\uDC00x"}"#, Some(r#"{"\ufffd":"\ufffdx"}"#)),
            (r#""\ud83d\ude00\ud83d""#, Some(r#""\ud83d\ude00\ufffd""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\\ud800""#, None),
            (r#""\\\ud800""#, Some(r#""\\\ufffd""#)),
            (r#""\u+123 é\n\u00e9""#, None),
            ("\"\\", None),
        ] {
            assert_eq!(without_lone_surrogates(raw).as_deref(), mended, "{raw}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_is_absent_and_its_neighbours_decode() {
        let read = sample(r#"{"id":{"a":[1]},"flag":"TRUE","count":"7","words":["a",1,null,{"b":2}]}"#);
        assert_eq!((read.id, read.flag, read.count), (None, Some(true), Some(7)));
        assert_eq!(read.words, ["a", "1"]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_noted_under_its_wire_name() {
        payload! {
            /// One around another.
            pub struct Around {
                /// One.
                sample: Option<Sample> = "sample",
                /// Many.
                samples: Vec<Sample> = "samples",
            }
        }
        let noted = |raw: &str| {
            let mut undecoded = Undecoded::default();
            Around::parse_data(raw, &mut undecoded).map(|_| undecoded.fields)
        };
        for (raw, expected) in [
            (
                r#"{"sample":{"id":"1","flag":true,"count":2,"words":["a"],"isBreakout":"true"},"foreign":{"a":[1]}}"#,
                &[][..],
            ),
            (
                r#"{"sample":{"id":null,"flag":"","count":" ","words":{},"isBreakout":[],"breakoutRoomId":""}}"#,
                &[],
            ),
            (r#"{"sample":{"id":{"a":1},"flag":"yes","count":"x"}}"#, &["id", "flag", "count"]),
            (
                r#"{"sample":{"words":"a","isBreakout":7,"breakoutRoomId":[1]}}"#,
                &["words", "isBreakout", "breakoutRoomId"],
            ),
            (r#"{"sample":7,"samples":[{"flag":2},{"flag":3},"x",null]}"#, &["sample", "flag", "samples"]),
        ] {
            assert_eq!(noted(raw), Ok(expected.to_vec()), "{raw}");
        }
        let mut undecoded = Undecoded::default();
        let read = map::<String, Sample>(r#"{"ada@example.org":7,"b":{"flag":"no"}}"#, &mut undecoded)
            .expect("a map");
        assert_eq!((read.len(), undecoded.fields()), (1, &["data", "flag"][..]));
    }

    #[test]
    fn numbers_out_of_every_range_do_not_fail_their_neighbours() {
        let read = sample(r#"{"count":1e999,"id":1e999,"flag":true}"#);
        assert_eq!((read.count, read.flag), (None, Some(true)));
        assert_eq!(read.id, Some(UserId::new("1e999")));
    }

    #[test]
    fn whole_numbers_decode_from_fractions_and_exponents() {
        assert_eq!(i64::parse("15.9"), Some(15));
        assert_eq!(i64::parse("1.6e12"), Some(1_600_000_000_000));
        assert_eq!(i64::parse("9223372036854775807"), Some(i64::MAX));
        assert_eq!(i64::parse("9223372036854775808"), None);
        assert_eq!(i64::parse("\"x\""), None);
    }

    #[test]
    fn half_an_emoji_becomes_a_replacement_character() {
        let read = string(r#""Zoë \ud83d""#).expect("text");
        assert!(read.starts_with("Zoë ") && read.contains('\u{fffd}'), "{read:?}");
    }

    #[test]
    fn empty_lists_and_objects_may_swap_brackets() {
        assert_eq!(sample("[ ]"), Sample::default());
        assert_eq!(list::<i64>("{ }"), Ok(vec![]));
        assert_eq!(list::<i64>("null"), Ok(vec![]));
        assert_eq!(
            Sample::parse_data("[1]", &mut Undecoded::default()).expect_err("a list").to_string(),
            "`data` is a list, where an object was expected"
        );
    }

    #[test]
    fn a_repeated_key_counts_as_its_last_value() {
        assert_eq!(sample(r#"{"count":1,"count":2}"#).count, Some(2));
    }

    #[test]
    fn the_room_does_not_depend_on_the_order_of_its_two_fields() {
        let id = Some(crate::id::BreakoutRoomId::new("b1"));
        for raw in [
            r#"{"isBreakout":true,"breakoutRoomId":"b1"}"#,
            r#"{"breakoutRoomId":"b1","isBreakout":"true"}"#,
            r#"{"breakoutRoomId":"b1","isBreakout":false}"#,
        ] {
            assert_eq!(sample(raw).room, Room::Breakout { id: id.clone() });
        }
        assert_eq!(sample(r#"{"isBreakout":false,"breakoutRoomId":""}"#).room, Room::Main);
    }

    #[test]
    fn nesting_without_end_is_skipped_without_recursion() {
        let deep = format!(r#"{{"id":{}1{},"count":3}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(sample(&deep).count, Some(3));
    }

    proptest::proptest! {
        #[test]
        fn any_text_decodes_without_a_panic(raw in ".*") {
            let _ = (string(&raw), bool::parse(&raw), i64::parse(&raw), list::<i64>(&raw).is_ok(), Sample::parse_data(&raw, &mut Undecoded::default()).is_ok());
        }
    }
}
