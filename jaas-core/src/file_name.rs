//! Texts of an event on their way to a file.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The maximum length of a name, in bytes.
const MAX_BYTES: usize = 64;

/// How much of a text that is not a safe name is kept, so that people recognize it.
const KEPT: usize = 30;

/// Returns a file name for any text of an event: safe, at most 64 bytes, and different for different texts.
///
/// Ids, keys and names are any text of any length: one may hold `../`, have a thousand bytes, or differ from another in
/// case alone. The returned name has only the characters `a-z`, `0-9`, `-` and `_`, is not empty, does not begin with
/// `-`, and is not a name that a system reserves; so it is safe as one part of a path and as a key of an object store,
/// and an extension may follow. The same text always has the same name. Different texts have different names (as surely
/// as 128 bits of SHA-256 differ), even on file systems that ignore case.
///
/// A text that already is such a name, such as an `idempotencyKey` as documented, is returned unchanged. For any other
/// text the name begins with `_`, continues with the legible part of the text, and ends with a hash.
///
/// A name made from a personal text, such as a room's name, can be personal too.
///
/// ```
/// use jaas_core::file_name;
///
/// assert_eq!(file_name("9e9e7420-562d-4659-8e22-44b9b22aaa49"), "9e9e7420-562d-4659-8e22-44b9b22aaa49");
/// assert_eq!(file_name("../../etc/passwd"), "_______etc_passwd-3754d6cb3a38e1185e5b382d5f3ef3f1");
/// ```
pub fn file_name(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    let mut name = String::with_capacity(MAX_BYTES);
    name.push('_');
    let kept = text.chars().take(KEPT).map(|char| char.to_ascii_lowercase());
    name.extend(kept.map(|char| if is_plain(char) { char } else { '_' }));
    name.push('-');
    for byte in &Sha256::digest(text.as_bytes())[..16] {
        // Writing to a `String` does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn is_plain(char: char) -> bool {
    matches!(char, 'a'..='z' | '0'..='9' | '-' | '_')
}

fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    begins && text.len() <= MAX_BYTES && text.chars().all(is_plain) && !is_reserved(text)
}

/// Windows treats these as devices, with any extension.
fn is_reserved(text: &str) -> bool {
    let numbered = |name: &str| text.strip_prefix(name).is_some_and(|rest| rest.len() == 1 && rest != "0");
    matches!(text, "con" | "prn" | "aux" | "nul") || ["com", "lpt"].into_iter().any(numbered)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_are_names_stay_and_others_are_made_safe() {
        for text in ["9e9e7420-562d-4659-8e22-44b9b22aaa49", "a", "com10", "room_1", &"x".repeat(64)] {
            assert_eq!(file_name(text), text);
        }
        for text in
            ["", ".", "..", "-rf", "_a", "con", "lpt1", "a.b", "A", "a/b", "a\0b", "é", &"x".repeat(65)]
        {
            let name = file_name(text);
            assert!(name.starts_with('_') && name != text, "{text:?}: {name}");
        }
    }

    #[test]
    fn texts_that_only_look_alike_have_different_names() {
        let long = "x".repeat(1000);
        let texts = ["a/b", "a_b", "a\\b", "A/b", "_a_b", "../a", "", "_", "é", "è", &long, &long[1..]];
        let names: HashSet<_> = texts.iter().map(|text| file_name(text)).collect();
        assert_eq!(names.len(), texts.len(), "{names:?}");
        // Not even when a text is the name of another text.
        assert!(!names.contains(&file_name(&file_name("a/b"))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_safe_name_of_bounded_length(text in "\\PC{0,80}|[a-z0-9/.-]{0,80}|(?s).{0,10}") {
            let name = file_name(&text);
            proptest::prop_assert!((1..=MAX_BYTES).contains(&name.len()) && name.chars().all(is_plain), "{}", name);
            proptest::prop_assert!(!name.starts_with('-') && !is_reserved(&name), "{}", name);
            proptest::prop_assert_eq!(&name, &file_name(&text));
            // Only a name of the first kind equals its text, so the two kinds cannot collide.
            proptest::prop_assert_eq!(name == text, is_name(&text));
        }
    }
}
