//! Reasoning that stands inside a content, between `<think>` and `</think>`.

use crate::ends::before;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A stretch of a content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stretch<'a> {
    /// What is said.
    Said(&'a str),
    /// What is thought, without its tags.
    Thought(&'a str),
    /// A tag around a thought.
    Tag(&'a str),
    /// White space after a thought.
    Space(&'a str),
}

impl Stretch<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Said(text) | Self::Thought(text) | Self::Tag(text) | Self::Space(text) => text,
        }
    }
}

/// True where a content holds the end of a thought. Its beginning may stand in the generation prompt.
pub(crate) fn has_thoughts(content: &str) -> bool {
    content.contains(CLOSE)
}

/// The stretches of a content, which are all of it, in order. Blank stretches are left out.
pub(crate) fn stretches(content: &str) -> Vec<Stretch<'_>> {
    let mut found = Vec::new();
    let mut rest = content;
    while let Some((head, after)) = rest.split_once(CLOSE) {
        let (said, open, thought) = match head.split_once(OPEN) {
            Some((said, thought)) => (said, OPEN, thought),
            None if found.is_empty() => ("", "", head),
            // A closing tag alone, further on, is what is said.
            None => (head, "", ""),
        };
        found.extend([Stretch::Said(said), Stretch::Tag(open), Stretch::Thought(thought), Stretch::Tag(CLOSE)]);
        rest = after.trim_start();
        found.push(Stretch::Space(before(after, rest)));
    }
    found.push(Stretch::Said(rest));
    found.retain(|stretch| !stretch.text().is_empty());
    found
}

/// A content without its thoughts, their tags and the white space after them.
pub(crate) fn without_thoughts(content: &str) -> String {
    let said = |stretch| match stretch {
        Stretch::Said(text) => text,
        _ => "",
    };
    stretches(content).into_iter().map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::Stretch::{Said, Space, Tag, Thought};
    use super::{stretches, without_thoughts};

    #[test]
    fn thoughts_are_told_from_what_is_said() {
        let (open, close) = (Tag("<think>"), Tag("</think>"));
        assert_eq!(stretches("<think>\nx</think>\n\na"), [open, Thought("\nx"), close, Space("\n\n"), Said("a")]);
        assert_eq!(stretches("x</think>a"), [Thought("x"), Tag("</think>"), Said("a")]);
        assert_eq!(stretches("a <think> b"), [Said("a <think> b")]);
        let two = "a<think>x</think>b<think>y</think>";
        let texts: Vec<String> = stretches(two).iter().map(|stretch| format!("{stretch:?}")).collect();
        assert_eq!(
            texts.join(" "),
            r#"Said("a") Tag("<think>") Thought("x") Tag("</think>") Said("b") Tag("<think>") Thought("y") Tag("</think>")"#
        );
        assert_eq!(stretches("").len(), 0);
    }

    #[test]
    fn without_them_only_what_is_said_remains() {
        for (content, said) in [
            ("<think>\nx\n</think>\n\na\n", "a\n"),
            ("x</think>a", "a"),
            (" a <think>x</think> b", " a b"),
            ("<think></think>", ""),
            (" a ", " a "),
        ] {
            assert_eq!(without_thoughts(content), said, "{content}");
        }
    }
}
