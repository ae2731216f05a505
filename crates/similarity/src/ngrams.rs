//! n-grams of words: how many are distinct, and which repeat inside a text.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::hash::{of_sequence, of_word};
use crate::words::unicode_words;

/// The n-grams of one text, by Unicode's words, lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ngrams {
    /// All, with repeats.
    pub total: u32,
    /// Different ones.
    pub distinct: u32,
    /// How often the most frequent one stands there.
    pub most: u32,
    /// That one, its words apart by spaces; the first among equals, empty where there is none.
    pub frequent: String,
}

/// Counts the n-grams of each text, on all processors. `n` is at least 1.
pub fn count_ngrams<T: AsRef<str> + Sync>(texts: &[T], n: usize) -> Vec<Ngrams> {
    texts.par_iter().map(|text| count(&text.as_ref().to_lowercase(), n)).collect()
}

fn count(lower_cased: &str, n: usize) -> Ngrams {
    let words: Vec<&str> = unicode_words(lower_cased).collect();
    let mut counts: HashMap<&[&str], (u32, usize)> = HashMap::new();
    for (place, gram) in words.windows(n.max(1)).enumerate() {
        let (count, _) = counts.entry(gram).or_insert((0, place));
        *count = count.saturating_add(1);
    }
    let total = counts.values().map(|(count, _)| *count).fold(0, u32::saturating_add);
    let frequent = counts.iter().max_by_key(|(_, (count, place))| (*count, std::cmp::Reverse(*place)));
    Ngrams {
        total,
        distinct: counts.len() as u32,
        most: frequent.map_or(0, |(_, (count, _))| *count),
        frequent: frequent.map_or_else(String::new, |(gram, _)| gram.join(" ")),
    }
}

/// n-grams of all texts together: how many, and how many different ones. distinct-n is the second over the first (Li et al. 2016).
pub fn distinct_ngrams<T: AsRef<str> + Sync>(texts: &[T], n: usize) -> (u64, u64) {
    let of_text = |text: &T| -> Vec<u64> {
        let words: Vec<u64> = unicode_words(&text.as_ref().to_lowercase()).map(of_word).collect();
        words.windows(n.max(1)).map(|gram| of_sequence(gram.iter().copied())).collect()
    };
    let (mut total, mut seen) = (0_u64, HashSet::new());
    // In slices: only what is distinct has to be remembered.
    for slice in texts.chunks(1_024) {
        for grams in slice.par_iter().map(of_text).collect::<Vec<_>>() {
            total = total.saturating_add(grams.len() as u64);
            seen.extend(grams);
        }
    }
    (total, seen.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_inside_a_text_are_counted() {
        let counted = count_ngrams(&["One two. ONE two, one two three", "a b", "", "京都京都"], 2);
        let one = Ngrams { total: 6, distinct: 3, most: 3, frequent: "one two".into() };
        assert_eq!(counted[0], one);
        assert_eq!(counted[1], Ngrams { total: 1, distinct: 1, most: 1, frequent: "a b".into() });
        assert_eq!(counted[2], Ngrams::default());
        assert_eq!((counted[3].total, counted[3].distinct, counted[3].most), (3, 2, 2));
        assert_eq!(count_ngrams(&["a b"], 3), [Ngrams::default()]);
    }

    #[test]
    fn distinct_ngrams_are_those_of_all_texts() {
        assert_eq!(distinct_ngrams(&["a b a b", "A b c"], 2), (5, 3));
        assert_eq!(distinct_ngrams(&["a", ""], 2), (0, 0));
        assert_eq!(distinct_ngrams(&["a", "A"], 1), (2, 1));
    }
}
