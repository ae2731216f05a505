//! What Python says of letters.

/// Python's `str.isspace` of one letter.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.isprintable` of one letter.
pub(crate) fn is_printable(c: char) -> bool {
    use unicode_categories::UnicodeCategories;
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    !(c.is_other() || c.is_separator())
}
