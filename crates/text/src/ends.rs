//! Texts told by their ends: readers hand on what is left of a text, and what they passed is the difference.

/// What stands before `after`, an end of `text`.
pub(crate) fn before<'a>(text: &'a str, after: &str) -> &'a str {
    &text[..text.len().saturating_sub(after.len())]
}
