//! Texts of an event on their way to a column.

use std::borrow::Cow;

/// Converts a text of an event into one that every database accepts: U+0000, which PostgreSQL refuses in any text,
/// becomes U+FFFD, and a text longer than `max_bytes` in UTF-8 is cut between two characters.
///
/// The envelope's `idempotencyKey`, `eventType` and `sessionId` are already storable, up to
/// [`MAX_INDEXED_BYTES`](super::tools::MAX_INDEXED_BYTES). Everything else in an event (participant ids, room names,
/// people's names, claims of a JWT) can be any text of any length. Written to a column unchanged, one odd text makes
/// the handler fail each time, and its event a dead letter.
///
/// `max_bytes` is the size of the column in bytes; for a `VARCHAR(n)`, which counts characters, `n` always fits. For
/// the columns of a key use [`MAX_INDEXED_BYTES`](super::tools::MAX_INDEXED_BYTES), since an index entry is limited
/// too. Texts that differ only after the cut, or in U+0000, become equal.
///
/// ```
/// use jaas_core::store::tools::{MAX_INDEXED_BYTES, storable};
///
/// assert_eq!(storable("p\0q", MAX_INDEXED_BYTES), "p\u{fffd}q");
/// assert_eq!(storable("Zoë", 3), "Zo");
/// assert_eq!(storable("5f2c1a9e", MAX_INDEXED_BYTES), "5f2c1a9e");
/// ```
pub fn storable(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.contains('\0') {
        let mut text = text.replace('\0', "\u{fffd}");
        text.truncate(boundary(&text, max_bytes));
        text.into()
    } else {
        text[..boundary(text, max_bytes)].into()
    }
}

/// The last boundary between two characters up to this byte.
fn boundary(text: &str, max_bytes: usize) -> usize {
    let mut at = max_bytes.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_borrowed() {
        assert!(matches!(storable("", 0), Cow::Borrowed("")));
        assert!(matches!(storable("abc", 3), Cow::Borrowed("abc")));
        assert!(matches!(storable("abcd", 3), Cow::Borrowed("abc")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_becomes_one_without_nul_of_at_most_the_size(text in "[\\x00a\u{e9}\u{1f642}]{0,20}", max in 0_usize..30) {
            let stored = storable(&text, max);
            proptest::prop_assert!(stored.len() <= max && !stored.contains('\0'));
            let whole = text.replace('\0', "\u{fffd}");
            proptest::prop_assert!(whole.starts_with(&*stored));
            proptest::prop_assert!(whole.len() <= max || max - stored.len() < 4, "no more is cut than necessary");
            proptest::prop_assert_eq!(storable(&stored, max), &*stored);
        }
    }
}
