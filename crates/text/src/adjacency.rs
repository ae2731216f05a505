//! Whether a splitting pattern can match the end of a word and the space after it in one piece.

use regex_syntax::hir::{Class, Hir, HirKind};

/// What a word may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WordEnd {
    /// A letter of ASCII.
    Letter,
    /// Anything visible of ASCII: letters, digits, punctuation.
    Visible,
}

impl WordEnd {
    /// The characters, as ranges.
    fn ranges(self) -> &'static [(char, char)] {
        match self {
            Self::Letter => &[('A', 'Z'), ('a', 'z')],
            Self::Visible => &[('!', '~')],
        }
    }

    /// The characters.
    pub fn characters(self) -> impl Iterator<Item = char> {
        self.ranges().iter().flat_map(|&(from, to)| from..=to)
    }

    /// Whether a character is one of them.
    pub fn holds(self, c: char) -> bool {
        self.ranges().iter().any(|&(from, to)| (from..=to).contains(&c))
    }
}

/// The characters that a space is, or becomes before it is split.
pub(crate) const SPACES: [char; 2] = [' ', '▁'];

/// The place between the end of a word and a space, as a splitting step may see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// What is before it.
    pub word_end: WordEnd,
    /// What a space may be by then.
    pub spaces: &'static [char],
}

/// What matches of a pattern begin and end with, as far as ends of words and spaces are concerned.
#[derive(Default, Clone, Copy)]
struct Edges {
    /// A match may be empty.
    empty: bool,
    first_is_space: bool,
    last_is_end: bool,
}

impl Edges {
    /// None where a match may hold the end of a word and a space right after it.
    fn then(self, next: Self) -> Option<Self> {
        let crosses = self.last_is_end && next.first_is_space;
        (!crosses).then_some(Self {
            empty: self.empty && next.empty,
            first_is_space: self.first_is_space || (self.empty && next.first_is_space),
            last_is_end: next.last_is_end || (next.empty && self.last_is_end),
        })
    }

    fn or(self, other: Self) -> Self {
        Self {
            empty: self.empty || other.empty,
            first_is_space: self.first_is_space || other.first_is_space,
            last_is_end: self.last_is_end || other.last_is_end,
        }
    }

    /// Of one character out of those between the bounds.
    fn of_ranges(ranges: impl Iterator<Item = (char, char)>, gap: Gap) -> Self {
        let (mut end, mut space) = (false, false);
        for (from, to) in ranges {
            end |= gap.word_end.ranges().iter().any(|&(first, last)| from <= last && to >= first);
            space |= gap.spaces.iter().any(|space| (from..=to).contains(space));
        }
        Self { last_is_end: end, first_is_space: space, ..Self::default() }
    }
}

/// Bytes of the longest pattern that is looked at, some times as long as the longest published one: reading a pattern takes
/// hundreds of times its length of memory.
const LONGEST_PATTERN: usize = 4 << 10;

/// True where no match of the pattern holds the end of a word and a space right after it, and what is matched does not depend
/// on anything else around it: patterns that look back, or ahead for more than the end of white space, are not told.
pub(crate) fn keeps_words_apart(pattern: &str, gap: Gap) -> bool {
    if pattern.len() > LONGEST_PATTERN {
        return false;
    }
    let seen = pattern.replace(r"(?!\S)", "");
    regex_syntax::parse(&seen).ok().and_then(|hir| edges(&hir, gap)).is_some()
}

/// True where a text of a file holds no end of a word and a space right after it, in any way that a space is written.
pub(crate) fn is_apart(text: &str, word_end: WordEnd) -> bool {
    let is_space = |c: char| SPACES.contains(&c) || c == BYTE_LEVEL_SPACE;
    !text.chars().zip(text.chars().skip(1)).any(|(before, after)| word_end.holds(before) && is_space(after))
}

/// How byte-level tokenizers write a space.
const BYTE_LEVEL_SPACE: char = 'Ġ';

/// None where a match may cross, or depends on what is around it.
fn edges(hir: &Hir, gap: Gap) -> Option<Edges> {
    let empty = Edges { empty: true, ..Edges::default() };
    Some(match hir.kind() {
        HirKind::Empty => empty,
        HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => return None,
        HirKind::Literal(literal) => {
            let mut letters = std::str::from_utf8(&literal.0).ok()?.chars();
            letters.try_fold(empty, |edges, c| edges.then(Edges::of_ranges(std::iter::once((c, c)), gap)))?
        }
        HirKind::Class(Class::Unicode(class)) => {
            Edges::of_ranges(class.ranges().iter().map(|range| (range.start(), range.end())), gap)
        }
        HirKind::Repetition(repetition) => {
            let once = edges(&repetition.sub, gap)?;
            let again = if repetition.max == Some(1) { once } else { once.then(once)? };
            Edges { empty: once.empty || repetition.min == 0, ..again.or(once) }
        }
        HirKind::Capture(capture) => edges(&capture.sub, gap)?,
        HirKind::Concat(parts) => parts.iter().try_fold(empty, |before, part| before.then(edges(part, gap)?))?,
        HirKind::Alternation(ways) => {
            ways.iter().try_fold(Edges::default(), |others, way| Some(others.or(edges(way, gap)?)))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Gap, SPACES, WordEnd, is_apart, keeps_words_apart};

    const ENDS: [WordEnd; 2] = [WordEnd::Letter, WordEnd::Visible];

    fn told(pattern: &str, spaces: &'static [char]) -> [bool; 2] {
        ENDS.map(|word_end| keeps_words_apart(pattern, Gap { word_end, spaces }))
    }

    #[test]
    fn published_patterns_keep_words_apart() {
        for pattern in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[!-/:-@][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[一-龥぀-ゟ゠-ヿ]+",
            " ",
        ] {
            assert_eq!(told(pattern, &[' ']), [true, true], "{pattern}");
            assert!(told(pattern, &SPACES)[0], "{pattern}");
        }
    }

    #[test]
    fn patterns_over_several_words_or_that_look_around_do_not() {
        for pattern in [
            r"\p{L}+(?: \p{L}+)*",
            r"[a-z ]+",
            r".+",
            r"(?:\w+\s?){1,3}",
            r"\w+(?=\s)",
            r"(?<=\s)\w+",
            r"\b\w+\b",
            r"^\w+|\s+",
            r"(?:a|b| )+",
            r"a\s",
            r"(",
            &"a|".repeat(3000),
        ] {
            assert_eq!(told(pattern, &[' ']), [false, false], "{pattern}");
        }
        for end in ENDS {
            assert!(["Ġa", "▁▁", "é "].iter().all(|text| is_apart(text, end)));
            assert!(["aĠ", "of the"].iter().all(|text| !is_apart(text, end)));
        }
    }

    #[test]
    fn a_pattern_may_keep_letters_apart_and_nothing_else() {
        for pattern in [r"\p{L}+|[^\p{L}]+", r"[.!?]\s+|\w+", r"\d+ |\s"] {
            assert_eq!(told(pattern, &[' ']), [true, false], "{pattern}");
        }
        // Where a space is written as `▁`, it is punctuation.
        assert_eq!(told(r" ?[^\s\p{L}\p{N}]+", &SPACES), [true, false]);
        assert_eq!(ENDS.map(|end| is_apart(". ", end)), [true, false]);
    }
}
