//! Private characters that go through a rendering and are cut out of its text: around what `{% generation %}` tags
//! enclose, and around control tokens that stand inside a row's texts.

/// Pairs of characters that a conversation does not contain, each an opening and a closing one, all of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Around what the assistant wrote.
    pub generation: (char, char),
    /// Around a control token that is to be read as text.
    pub control: (char, char),
}

impl Marks {
    /// Private characters (plane 15) that `text` does not contain.
    pub fn unused_in(text: &str) -> Self {
        let pairs = (0xF_0000..0xF_FFFD).step_by(2);
        let mut unused = pairs
            .filter_map(|code| char::from_u32(code).zip(char::from_u32(code.checked_add(1)?)))
            .filter(|(open, close)| !text.contains(*open) && !text.contains(*close));
        // 32,000 pairs cannot all be in use unless a text was made for it; the last resort then only loses exactness there.
        let generation = unused.next().unwrap_or(('\u{10_0000}', '\u{10_0001}'));
        Self { generation, control: unused.next().unwrap_or(('\u{10_0002}', '\u{10_0003}')) }
    }
}

/// Rendered text without its marks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The text that remains.
    pub text: String,
    /// What stood between generation marks: byte offsets in that text; nested spans come in order of opening.
    pub spans: Vec<(usize, usize)>,
    /// What stood between marks of control tokens, in order.
    pub as_text: Vec<(usize, usize)>,
    /// Byte offsets of all marks in the text with them.
    marks: Vec<usize>,
}

impl Cut {
    /// Cuts the marks out.
    pub fn of(rendered: &str, marks: Marks) -> Self {
        let mut cut = Self { text: String::with_capacity(rendered.len()), ..Self::default() };
        let mut unclosed: Vec<usize> = Vec::new();
        let mut control = None;
        for (at, c) in rendered.char_indices() {
            if c == marks.generation.0 {
                unclosed.push(cut.spans.len());
                cut.spans.push((cut.text.len(), cut.text.len()));
            } else if c == marks.generation.1 {
                if let Some(span) = unclosed.pop().and_then(|index| cut.spans.get_mut(index)) {
                    span.1 = cut.text.len();
                }
            } else if c == marks.control.0 {
                control = Some(cut.text.len());
            } else if c == marks.control.1 {
                cut.as_text.extend(control.take().map(|start| (start, cut.text.len())));
            } else {
                cut.text.push(c);
                continue;
            }
            cut.marks.push(at);
        }
        cut
    }

    /// Where an offset of the text with marks is in the text without.
    pub fn offset(&self, with_marks: usize) -> usize {
        const LENGTH: usize = '\u{F_0000}'.len_utf8();
        let before = self.marks.partition_point(|&mark| mark < with_marks);
        with_marks.saturating_sub(before.saturating_mul(LENGTH))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, Marks};

    const MARKS: Marks = Marks { generation: ('\u{F_0000}', '\u{F_0001}'), control: ('\u{F_0002}', '\u{F_0003}') };

    /// `<` and `>` stand for the marks of generation, `[` and `]` for those of control tokens.
    fn cut(text: &str) -> Cut {
        let replaced =
            [('<', MARKS.generation.0), ('>', MARKS.generation.1), ('[', MARKS.control.0), (']', MARKS.control.1)];
        let marked = text.chars().map(|c| replaced.iter().find(|(plain, _)| *plain == c).map_or(c, |(_, mark)| *mark));
        Cut::of(&marked.collect::<String>(), MARKS)
    }

    #[test]
    fn marks_are_cut_and_spans_kept() {
        let nested = cut("aé<b<c>>d<>");
        assert_eq!((nested.text.as_str(), nested.spans.as_slice()), ("aébcd", [(3, 5), (4, 5), (6, 6)].as_slice()));
        assert_eq!([0, 3, 7, 8, 21, 22, 30].map(|at| nested.offset(at)), [0, 3, 3, 4, 5, 6, 6]);
        let unopened = cut("a>b");
        assert_eq!((unopened.text.as_str(), unopened.spans.len()), ("ab", 0));
    }

    #[test]
    fn control_tokens_are_told() {
        let both = cut("a[bc]<d[e]>f[g");
        assert_eq!((both.text.as_str(), both.spans.as_slice()), ("abcdefg", [(3, 5)].as_slice()));
        assert_eq!(both.as_text, [(1, 3), (4, 5)]);
        assert!(cut("a]b").as_text.is_empty());
    }

    #[test]
    fn marks_are_characters_that_the_text_lacks() {
        let marks = Marks::unused_in("a\u{F_0001}b");
        assert_eq!(marks.generation, ('\u{F_0002}', '\u{F_0003}'));
        assert_eq!(marks.control, ('\u{F_0004}', '\u{F_0005}'));
    }
}
