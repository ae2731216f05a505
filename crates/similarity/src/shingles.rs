//! A text as a set of shingles: runs of words or characters (Broder 1997).

use crate::hash::{of_sequence, of_word};
use crate::words::unicode_words;

/// What a shingle is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Words by Unicode's boundaries, lower-cased, without spaces and punctuation.
    Word,
    /// Characters of the lower-cased text, every run of white space as one space.
    Character,
}

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shingling {
    /// Words or characters.
    pub unit: Unit,
    /// How many of them make a shingle, at least 1.
    pub size: usize,
}

/// The set of a text's shingles, as sorted numbers. A text with fewer units than a shingle has is one shingle, one without
/// words its characters; only a text of nothing but white space has none.
pub fn shingles(text: &str, shingling: Shingling) -> Vec<u64> {
    let lower_cased = text.to_lowercase();
    let mut units: Vec<u64> = match shingling.unit {
        Unit::Word => unicode_words(&lower_cased).map(of_word).collect(),
        Unit::Character => Vec::new(),
    };
    if units.is_empty() {
        units = characters(&lower_cased);
    }
    let size = shingling.size.clamp(1, units.len().max(1));
    let mut set: Vec<u64> = units.windows(size).map(|run| of_sequence(run.iter().copied())).collect();
    set.sort_unstable();
    set.dedup();
    set
}

fn characters(text: &str) -> Vec<u64> {
    let mut units: Vec<u64> = Vec::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !units.is_empty() {
            units.push(u64::from(' '));
        }
        units.extend(word.chars().map(u64::from));
    }
    units
}

/// Shingles that two sets share, of all that either has; 0 where both are empty.
pub fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    similarity_of(common(a, b), a.len(), b.len())
}

/// The Jaccard similarity of two sets by their sizes and what they share.
pub(crate) fn similarity_of(common: usize, a: usize, b: usize) -> f64 {
    if common == 0 {
        return 0.0;
    }
    common as f64 / a.saturating_add(b).saturating_sub(common) as f64
}

fn common(a: &[u64], b: &[u64]) -> usize {
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    let mut count = 0_usize;
    while let (Some(x), Some(y)) = (left.peek(), right.peek()) {
        let (x, y) = (**x, **y);
        count = count.saturating_add(usize::from(x == y));
        left.next_if(|_| x <= y);
        right.next_if(|_| y <= x);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Shingling = Shingling { unit: Unit::Word, size: 2 };
    const CHARACTERS: Shingling = Shingling { unit: Unit::Character, size: 3 };

    #[test]
    fn case_spaces_and_punctuation_are_no_part_of_words() {
        assert_eq!(shingles("One, two  three!", WORDS), shingles("one TWO three", WORDS));
        assert_eq!(shingles("one two three", WORDS).len(), 2);
        assert_eq!(shingles(" a\n\nb c", CHARACTERS), shingles("A b C", CHARACTERS));
    }

    #[test]
    fn short_texts_are_one_shingle_and_blank_ones_none() {
        assert_eq!(shingles("One", WORDS).len(), 1);
        assert_ne!(shingles("one", WORDS), shingles("two", WORDS));
        assert_eq!(shingles("?!", WORDS).len(), 1);
        assert_ne!(shingles("?!", WORDS), shingles("!?", WORDS));
        assert_eq!(shingles(" \n", WORDS), []);
        assert_eq!(shingles("", CHARACTERS), []);
    }

    #[test]
    fn jaccard_is_shared_of_all() {
        let set = |text| shingles(text, WORDS);
        assert_eq!(jaccard(&set("a b c d"), &set("a b c e")), 0.5);
        assert_eq!(jaccard(&set("a b"), &set("a b")), 1.0);
        assert_eq!(jaccard(&[], &[]), 0.0);
    }
}
