//! Patterns of room names.

use crate::id::room_key;

/// A room's name with `*` for any number of characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    /// # Errors
    /// Returns what is wrong with a pattern that matches no room, or not the one its author meant.
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        if pattern.is_empty() {
            return Err(
                "a pattern is empty; write a room's name, in which * matches any characters and ? matches one",
            );
        }
        // In another spelling the name may contain these, and this is how to write them.
        if pattern.contains('/') {
            return Err(
                "a pattern has a /; write a room's name without its tenant, which belongs in `tenant`; \
                        a / in the name itself is written %2F",
            );
        }
        if pattern.trim() != pattern {
            return Err(
                "a pattern begins or ends with white space; a space in the name itself is written %20",
            );
        }
        if pattern.contains(|c: char| c.is_control() || c == '\u{feff}') {
            return Err("a pattern has a control character, which no room's name can have");
        }
        let mut chars: Vec<char> = room_key(pattern).chars().collect();
        chars.dedup_by(|next, before| *next == '*' && *before == '*');
        Ok(Self(chars))
    }

    /// Whether it matches every room.
    pub(super) fn is_everything(&self) -> bool {
        self.0 == ['*']
    }

    pub(super) fn as_str(&self) -> String {
        self.0.iter().collect()
    }

    /// Whether it matches this room, in the spelling used for comparison.
    pub(super) fn matches(&self, room: &str) -> bool {
        let room: Vec<char> = room.chars().collect();
        self.fits(&room, |wanted, found| wanted == '?' || wanted == found)
    }

    /// Whether it matches everything that the other matches. It detects a cover when the two are equal, or when the
    /// other's wildcards are where this one has `*`, or `?` for `?`. It does not detect a cover that several patterns
    /// make together.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.fits(&other.0, |wanted, found| (wanted == '?' && found != '*') || wanted == found)
    }

    /// Backtracks to the last `*` only, so it takes at most the product of both lengths.
    fn fits(&self, text: &[char], same: impl Fn(char, char) -> bool) -> bool {
        let pattern = &self.0;
        let (mut at, mut read) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            if pattern.get(at) == Some(&'*') {
                star = Some((at, read));
                at += 1;
            } else if pattern.get(at).is_some_and(|wanted| same(*wanted, text[read])) {
                at += 1;
                read += 1;
            } else if let Some((star_at, from)) = star {
                star = Some((star_at, from + 1));
                at = star_at + 1;
                read = from + 1;
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).expect("not empty")
    }

    #[test]
    fn a_star_matches_any_number_of_characters_and_a_question_mark_matches_one() {
        for (text, fitting, others) in [
            ("*", &["", "a", "a/b"][..], &[][..]),
            ("*-vip", &["-vip", "a-vip", "a-vip-vip"], &["vip", "a-vips", "-vip-"]),
            ("Lecture-*", &["lecture-", "lecture-1"], &["a-lecture-1", "lecture"]),
            ("a*b*c", &["abc", "aXbYc", "abbc", "abcbc"], &["ab", "acb", "abca"]),
            ("room?", &["room1", "roomé"], &["room", "room12"]),
            ("caf%C3%A9 7", &["café 7"], &["cafe 7"]),
            ("aula", &["aula"], &["aulas", "aul"]),
        ] {
            for room in fitting {
                assert!(pattern(text).matches(&room.to_lowercase()), "{text} {room}");
            }
            for room in others {
                assert!(!pattern(text).matches(room), "{text} {room}");
            }
        }
    }

    #[test]
    fn a_pattern_that_matches_no_room_is_refused_with_the_remedy() {
        for (text, part) in [
            ("", "is empty"),
            ("vpaas-magic-cookie-1/board", "without its tenant"),
            ("tenant/*", "%2F"),
            ("/", "%2F"),
            (" board", "%20"),
            ("board\t", "white space"),
            ("bo\u{7}ard", "control character"),
        ] {
            assert!(Pattern::new(text).expect_err(text).contains(part), "{text}");
        }
        assert!(pattern("team%2F7").matches("team/7") && pattern("%20x").matches(" x"));
    }

    #[test]
    fn a_pattern_covers_what_it_always_matches() {
        for (one, other, covered) in [
            ("*", "*-vip", true),
            ("*-vip", "board-vip", true),
            ("*-vip", "*-VIP", true),
            ("a*", "a?c*", true),
            ("a?c", "abc", true),
            ("a?c", "a*c", false),
            ("board-vip", "*-vip", false),
            ("*-vip", "*", false),
            ("a*", "*a", false),
        ] {
            assert_eq!(pattern(one).covers(&pattern(other)), covered, "{one} {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_covered_matches(one in "[ab?*]{1,6}", other in "[ab?*]{1,6}", room in "[ab]{0,8}") {
            let (one, other) = (pattern(&one), pattern(&other));
            if one.covers(&other) && other.matches(&room) {
                proptest::prop_assert!(one.matches(&room));
            }
        }
    }

    #[test]
    fn a_long_pattern_does_not_take_forever() {
        let (pattern, room) = (pattern(&format!("{}c", "a*".repeat(200))), "a".repeat(1000));
        assert!(!pattern.matches(&format!("{room}b")) && pattern.matches(&format!("{room}c")));
    }
}
