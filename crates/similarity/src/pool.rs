//! A pool of texts that answers which of them is most like a candidate, by ROUGE-L.
//!
//! Two texts share no longer subsequence than they share words, so the words bound ROUGE-L. An index from words to texts
//! gives that bound for the whole pool; the longest common subsequence is computed only where the bound reaches the best so far.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::lcs::Pattern;
use crate::rouge::f_measure;
use crate::words::rouge_words;

/// The text of a pool that is most like a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MostSimilar {
    /// Place of the text in the pool, the first among equals; none where no text shares a word.
    pub index: Option<usize>,
    /// Its ROUGE-L F-measure.
    pub score: f64,
}

/// Texts to compare with. Memory: about 12 bytes a word, and each distinct word once.
#[derive(Default)]
pub struct RougePool {
    vocabulary: HashMap<Box<str>, u32>,
    /// The words of all texts, end to end.
    words: Vec<u32>,
    /// Where each text ends.
    ends: Vec<usize>,
    /// By word: the texts that have it, and how often.
    postings: Vec<Vec<(u32, u32)>>,
}

/// Memory that one thread uses again and again.
#[derive(Default)]
struct Scratch {
    pattern: Pattern,
    /// By text of the pool: words it shares with the candidate.
    shared: Vec<u32>,
    touched: Vec<u32>,
    bounded: Vec<(f64, u32)>,
}

impl RougePool {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds texts, each at the next place.
    pub fn add<T: AsRef<str>>(&mut self, texts: &[T]) {
        for text in texts {
            let number = self.ends.len() as u32;
            let lower_cased = text.as_ref().to_lowercase();
            for word in rouge_words(&lower_cased) {
                let id = self.id_of(word);
                self.words.push(id);
                if let Some(posting) = self.postings.get_mut(id as usize) {
                    match posting.last_mut() {
                        Some((last, count)) if *last == number => *count = count.saturating_add(1),
                        _ => posting.push((number, 1)),
                    }
                }
            }
            self.ends.push(self.words.len());
        }
    }

    /// The most similar text of the pool for each candidate, on all processors.
    pub fn most_similar<T: AsRef<str> + Sync>(&self, candidates: &[T]) -> Vec<MostSimilar> {
        let work = |scratch: &mut Scratch, candidate: &T| self.most_similar_of_one(candidate.as_ref(), scratch);
        candidates.par_iter().with_max_len(16).map_init(Scratch::default, work).collect()
    }

    fn id_of(&mut self, word: &str) -> u32 {
        if let Some(id) = self.vocabulary.get(word) {
            return *id;
        }
        let id = self.postings.len() as u32;
        self.vocabulary.insert(word.into(), id);
        self.postings.push(Vec::new());
        id
    }

    fn text(&self, index: u32) -> &[u32] {
        let from = (index as usize).checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(index as usize).and_then(|end| self.words.get(from..*end)).unwrap_or_default()
    }

    fn most_similar_of_one(&self, candidate: &str, scratch: &mut Scratch) -> MostSimilar {
        let lower_cased = candidate.to_lowercase();
        let words: Vec<Option<u32>> =
            rouge_words(&lower_cased).map(|word| self.vocabulary.get(word).copied()).collect();
        self.count_shared(&words, scratch);
        let Scratch { pattern, shared, touched, bounded } = scratch;
        pattern.set(words.iter().copied(), self.postings.len());
        let score = |common, index| f_measure(common, self.text(index).len(), words.len());

        bounded.clear();
        bounded.extend(touched.drain(..).map(|index| {
            let common = shared.get_mut(index as usize).map(std::mem::take).unwrap_or_default();
            (score(common, index), index)
        }));
        let rank = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let Some((_, likeliest)) = bounded.iter().min_by(|a, b| rank(a, b)).copied() else {
            return MostSimilar { index: None, score: 0.0 };
        };
        let mut measure = |index| (score(pattern.lcs(self.text(index)), index), index);
        let mut best = measure(likeliest);
        // Sorting what cannot be the best would take longer than all that follows.
        bounded.retain(|(bound, index)| *bound >= best.0 && *index != likeliest);
        bounded.sort_unstable_by(rank);
        for (bound, index) in bounded.iter() {
            if *bound < best.0 {
                break;
            }
            let found = measure(*index);
            if rank(&found, &best).is_lt() {
                best = found;
            }
        }
        MostSimilar { index: Some(best.1 as usize), score: best.0 }
    }

    /// Counts, for every text of the pool, the words it shares with the candidate.
    fn count_shared(&self, words: &[Option<u32>], Scratch { shared, touched, .. }: &mut Scratch) {
        shared.resize(self.ends.len(), 0);
        let mut ids: Vec<u32> = words.iter().copied().flatten().collect();
        ids.sort_unstable();
        for run in ids.chunk_by(|a, b| a == b) {
            let Some(posting) = run.first().and_then(|id| self.postings.get(*id as usize)) else { continue };
            for (index, count) in posting {
                let Some(common) = shared.get_mut(*index as usize) else { continue };
                if *common == 0 {
                    touched.push(*index);
                }
                *common = common.saturating_add((*count).min(run.len() as u32));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rouge::rouge_l;

    #[test]
    fn nothing_is_like_a_text_that_shares_no_word() {
        let mut pool = RougePool::default();
        assert_eq!(pool.most_similar(&["a"]), [MostSimilar { index: None, score: 0.0 }]);
        pool.add(&["b", "", "京都"]);
        assert_eq!(pool.len(), 3);
        let nothing = MostSimilar { index: None, score: 0.0 };
        assert_eq!(pool.most_similar(&["a", "", "京都"]), [nothing; 3]);
    }

    #[test]
    fn equals_a_comparison_with_each() {
        let texts = sentences(600, 3);
        let mut pool = RougePool::default();
        pool.add(&texts[..150]);
        pool.add(&texts[150..500]);
        let found = pool.most_similar(&texts[450..]);
        for (candidate, found) in texts[450..].iter().zip(found) {
            let scores: Vec<f64> = texts[..500].iter().map(|text| rouge_l(text, candidate)).collect();
            let best = scores.iter().copied().fold(0.0, f64::max);
            assert_eq!(found.score, best, "{candidate}");
            let first = scores.iter().position(|score| *score == best);
            assert_eq!(found.index, if best == 0.0 { None } else { first }, "{candidate}");
        }
    }

    /// Sentences of 0 to 90 words out of 60.
    fn sentences(count: usize, seed: u64) -> Vec<String> {
        let mut state = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        (0..count)
            .map(|_| {
                let length = if next(5) == 0 { next(90) } else { next(12) };
                (0..length).map(|_| format!("w{}", next(60))).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }
}
