//! `{% generation %}` tags: rewritten into marks that survive rendering and are cut out of the text afterwards
//! ([`crate::marks`]).
//!
//! transformers implements the tag as a jinja2 extension (a call block, so a scope of its own). Here it becomes a
//! `with` block whose text begins and ends with a mark character taken from the context, so that no character of a
//! conversation can forge one.

use std::fmt::Write;

use crate::ends::before;

/// Context variable that holds the opening mark.
pub(crate) const OPEN_VARIABLE: &str = "__generation_open";
/// Context variable that holds the closing mark.
pub(crate) const CLOSE_VARIABLE: &str = "__generation_close";

/// A template whose generation tags are rewritten.
pub(crate) struct Rewritten {
    /// The source to compile.
    pub source: String,
    /// True when at least one tag stood outside comments and raw blocks.
    pub has_tags: bool,
}

/// Rewrites the tags and leaves everything else as it is. The dashes of whitespace control stay on the outer sides.
pub(crate) fn rewrite(template: &str) -> Rewritten {
    let mut source = String::with_capacity(template.len());
    let mut has_tags = false;
    for piece in pieces(template) {
        let Some((before, name, after)) = piece.tag() else {
            source.push_str(piece.text);
            continue;
        };
        match name {
            // The inner `if true` carries the whitespace control of the tag's other side past the mark.
            "generation" => {
                has_tags = true;
                let _ = write!(source, "{{%{before} with %}}{{{{ {OPEN_VARIABLE} }}}}{{% if true {after}%}}");
            }
            "endgeneration" => {
                let _ = write!(source, "{{%{before} endif %}}{{{{ {CLOSE_VARIABLE} }}}}{{% endwith {after}%}}");
            }
            _ => source.push_str(piece.text),
        }
    }
    Rewritten { source, has_tags }
}

/// The same template for programs that do not know the tags: each becomes an `if true` with its dashes, so that whitespace
/// control stays as it is.
pub(crate) fn without_tags(template: &str) -> String {
    let mut source = String::with_capacity(template.len());
    for piece in pieces(template) {
        let _ = match piece.tag() {
            Some((before, "generation", after)) => write!(source, "{{%{before} if true {after}%}}"),
            Some((before, "endgeneration", after)) => write!(source, "{{%{before} endif {after}%}}"),
            _ => write!(source, "{}", piece.text),
        };
    }
    source
}

/// The template without its comments.
pub(crate) fn without_comments(template: &str) -> String {
    pieces(template).filter(|piece| !piece.text.starts_with("{#")).map(|piece| piece.text).collect()
}

/// A stretch of template source: literal text, `{{ … }}`, `{% … %}`, a comment or a whole raw block.
struct Piece<'a> {
    text: &'a str,
}

impl<'a> Piece<'a> {
    /// Left dash, tag name, right dash of a `{% name %}` without arguments.
    fn tag(&self) -> Option<(&'a str, &'a str, &'a str)> {
        let inside = self.text.strip_prefix("{%")?.strip_suffix("%}")?;
        let (before, inside) = split_sign(inside);
        let name = inside.strip_suffix(['-', '+']).unwrap_or(inside);
        Some((before, name.trim(), &inside[name.len()..]))
    }
}

fn split_sign(inside: &str) -> (&str, &str) {
    let sign = usize::from(inside.starts_with(['-', '+']));
    inside.split_at(sign)
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let after = after_piece(rest);
        let text = before(rest, after);
        rest = after;
        Some(Piece { text })
    })
}

/// What follows the piece that `rest` begins with; never all of it.
fn after_piece(rest: &str) -> &str {
    if let Some(comment) = rest.strip_prefix("{#") {
        return comment.split_once("#}").map_or("", |(_, after)| after);
    }
    if let Some(code) = rest.strip_prefix("{{") {
        return after_code(code, "}}");
    }
    if let Some(code) = rest.strip_prefix("{%") {
        let after = after_code(code, "%}");
        return match (Piece { text: before(rest, after) }).tag() {
            Some((_, "raw", _)) => after_raw(after),
            _ => after,
        };
    }
    let opening = |pair: &[u8]| matches!(pair, b"{{" | b"{%" | b"{#");
    &rest[rest.as_bytes().windows(2).position(opening).unwrap_or(rest.len())..]
}

/// What follows code and its first closing delimiter that is not inside a string literal.
fn after_code<'a>(code: &'a str, closing: &str) -> &'a str {
    let mut quote = None;
    let mut letters = code.chars();
    loop {
        if let Some(after) = letters.as_str().strip_prefix(closing).filter(|_| quote.is_none()) {
            return after;
        }
        match (quote, letters.next()) {
            (_, None) => return "",
            (Some(_), Some('\\')) => drop(letters.next()),
            (Some(open), Some(c)) if c == open => quote = None,
            (None, Some(c @ ('\'' | '"'))) => quote = Some(c),
            _ => {}
        }
    }
}

/// What follows a raw block and its end, which is read from the block's text on.
fn after_raw(block: &str) -> &str {
    let after_end = |(at, opening): (usize, &str)| {
        let (_, name) = split_sign(block[at..].strip_prefix(opening)?);
        let (_, end) = split_sign(name.trim_start().strip_prefix("endraw")?.trim_start());
        end.strip_prefix("%}")
    };
    block.match_indices("{%").find_map(after_end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{rewrite, without_comments, without_tags};

    #[test]
    fn tags_in_comments_raw_blocks_and_strings_are_left_alone() {
        for template in [
            "{# {% generation %} #}x",
            "{% raw %}{% generation %}{% endraw %}",
            "{{ '{% generation %}' }}",
            "{% if x == '%}{% generation %}' %}{% endif %}",
            "{%",
            "{{ '",
        ] {
            let rewritten = rewrite(template);
            assert_eq!(rewritten.source, template);
            assert!(!rewritten.has_tags);
        }
    }

    #[test]
    fn dashes_stay_on_the_outer_sides() {
        let rewritten = rewrite("a {%- generation -%} b {%endgeneration%}");
        assert!(rewritten.has_tags);
        assert_eq!(
            rewritten.source,
            "a {%- with %}{{ __generation_open }}{% if true -%} b {% endif %}{{ __generation_close }}{% endwith %}"
        );
    }

    #[test]
    fn programs_without_the_tags_see_plain_conditions() {
        let template = "{# {% generation %} #}{%- generation -%} b {%endgeneration%}{{ '{% generation %}' }}";
        let expected = "{# {% generation %} #}{%- if true -%} b {% endif %}{{ '{% generation %}' }}";
        assert_eq!(without_tags(template), expected);
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(without_comments("a{# b #}c{{ '{# d #}' }}"), "ac{{ '{# d #}' }}");
    }
}
